"""The version of this build: a constant, so that a role need not search for package metadata."""

VERSION = "0.1.0"
"""Equal to the package's; a test holds them together."""
REQUIRES = "0.1.0"
"""The oldest version that still reads what this one writes: it may be gone back to.

Raise it with a change of the data folder that is more than an addition; releases carry it.
"""
