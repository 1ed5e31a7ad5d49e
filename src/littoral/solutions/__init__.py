"""Applications built on the public API and on job steps."""
