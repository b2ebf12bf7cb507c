"""Benchmarks: ratios of noria to a bare loop, side by side in one run. `python -m bench`."""
