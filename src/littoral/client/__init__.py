"""Typed client of the admin API."""
