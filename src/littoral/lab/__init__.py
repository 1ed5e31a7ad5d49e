"""A whole fleet on virtual time: the product's own code, a played world, and what must hold."""
