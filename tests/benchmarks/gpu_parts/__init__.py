"""What `tests/benchmarks/gpu.py` is made of: the large presets on a device, and ranks that share one."""
