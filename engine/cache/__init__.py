"""Diffusion caches, applied from outside: what a step need not compute is forecast from the steps before it."""
