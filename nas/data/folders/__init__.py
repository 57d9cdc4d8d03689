"""Data folders: their layout, their names, and which files they consist of."""
