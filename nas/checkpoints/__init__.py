"""Trained networks in files: reading, importing and writing them, and their class names."""
