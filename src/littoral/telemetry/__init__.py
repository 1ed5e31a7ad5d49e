"""Metrics, logs and their names."""
