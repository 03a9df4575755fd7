"""Measurements against a peer in the same run: `make bench`."""
