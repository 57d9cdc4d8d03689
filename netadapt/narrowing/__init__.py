"""Narrower networks as data: which widths exist, and a network with one of them changed."""
