"""Estimates for the phones of the papers, from the figures that the papers publish.

Start with `estimate` (the source); `rows` says which figures and why those, `work` what a network makes a
phone do, `fit` how the one is turned into the other, `held_out` how far off that is.
"""

from latency.estimates.published.estimate import PHONES, PublishedEstimate
from latency.estimates.published.held_out import HeldOut, held_out

__all__ = ["PHONES", "HeldOut", "PublishedEstimate", "held_out"]
