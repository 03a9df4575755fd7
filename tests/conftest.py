"""Shared fixtures. `services` starts the servers; see there."""
