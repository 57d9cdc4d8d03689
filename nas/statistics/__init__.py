"""Confidence intervals, the noise between trainings, and how many trials are worth running."""
