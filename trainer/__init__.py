"""Training: generated worlds and shards become bundles."""
