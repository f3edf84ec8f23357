"""A group of rank processes that live as long as their owner, and an engine's denoiser on them."""
