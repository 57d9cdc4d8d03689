"""`nas train`."""
