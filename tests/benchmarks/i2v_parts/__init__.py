"""What `tests/benchmarks/i2v.py` is made of: held-out scenes, filming, measuring, rows."""
