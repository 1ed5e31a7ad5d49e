"""Shapes of the public APIs: what clients of each vendor's library expect to read."""
