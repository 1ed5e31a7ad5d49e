"""Ids, units, errors, records and ports. Imports nothing of ours."""
