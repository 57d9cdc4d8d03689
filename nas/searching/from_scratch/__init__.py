"""Searches whose networks train from new weights, or from weights of other networks where they overlap."""
