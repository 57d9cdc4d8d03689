"""Validation and test images where a data set has none of its own: the rule, and the draw."""
