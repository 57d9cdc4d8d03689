"""Ablations: networks, or searches, that differ in one thing each; see `nas.ablating.reading`."""
