"""Littoral: one large-model service from many unlike machines."""
