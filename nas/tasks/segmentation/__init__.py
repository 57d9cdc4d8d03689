"""Segmentation: the class of each pixel of an image."""
