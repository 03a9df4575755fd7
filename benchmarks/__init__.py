"""Measurements of ours and of other job systems in the same run: `make bench`."""
