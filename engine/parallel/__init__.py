"""Several devices for one model, applied from outside: the model's code knows nothing of it."""
