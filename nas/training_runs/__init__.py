"""A training with a folder of its own, from which it can be resumed."""
