"""Models in less memory, applied from outside: the model's code knows nothing of it."""
