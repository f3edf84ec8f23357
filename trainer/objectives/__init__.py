"""What each model learns: pure functions from a batch to a loss."""
