"""Data folders: their layout, and the files in them."""
