"""One measurement a file; `scripts/benchmark.py` runs them."""
