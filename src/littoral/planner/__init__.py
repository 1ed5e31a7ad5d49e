"""Simulator and platform search."""
