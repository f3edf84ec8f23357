"""What a new studio starts with: a workspace, a brand, products, and photos that the project has drawn itself."""
