"""Masks: image files whose pixels say which class the pixels of a photo are of."""
