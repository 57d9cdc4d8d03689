"""A run's folder: its metadata, its images, what is published from it."""
