"""Train on Ray; only this package imports it."""
