"""The version of this build: a constant, so that a role need not search for package metadata."""

VERSION = "0.1.0"
"""Equal to the package's; a test holds them together."""
