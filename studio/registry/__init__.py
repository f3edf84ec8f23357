"""Which models this studio has: bundles on disk, verified and named by their digest."""
