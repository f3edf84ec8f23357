"""The models, one file each. No parallelism inside: it is applied from outside."""
