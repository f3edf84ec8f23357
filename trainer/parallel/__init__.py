"""Training over several devices: the pieces of `engine.parallel` composed with FSDP2, HSDP and a pipeline."""
