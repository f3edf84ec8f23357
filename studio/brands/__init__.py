"""Brand kits, products and their facts."""
