"""Pretrained video models: a local diffusers directory becomes a bundle that serves the same requests as ours."""
