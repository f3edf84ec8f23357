"""Attention: what is asked (`mask`), who answers (`dispatch`), and one file a backend (`sdpa`, `flash`, `plain`)."""
