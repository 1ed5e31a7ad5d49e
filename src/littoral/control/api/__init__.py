"""The admin API: one file a noun, each a list of routes with their policies."""
