"""`nas compare`."""
