"""Drivers of inference engines, one file each."""
