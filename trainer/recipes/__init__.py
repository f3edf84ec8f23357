"""A recipe is a Python function that returns the whole configuration of a run."""
