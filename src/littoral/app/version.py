"""The version of this build."""

VERSION = "0.1.0"
"""Read by the package build too: there is no second place to change."""
