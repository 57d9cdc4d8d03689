"""Holding images out, class by class."""

import numpy as np
from numpy.typing import NDArray

from search_spaces.errors import InputError


def stratified_split(
    labels: NDArray[np.int64], fraction: float, *, seed: int, name: str = "fraction"
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Choose `fraction` of every class at random.

    From a class of two or more images at least one is held out and at least one stays; a class
    with a single image stays whole.

    Args:
        labels: class index of every image (N,).
        fraction: part to hold out, in (0, 1).
        seed: the same seed chooses the same images.
        name: what the fraction is called in the error.

    Returns:
        Sorted indices of what stays and of what is held out; together each index once.

    Raises:
        InputError: the fraction is not between 0 and 1.

    >>> stay, held_out = stratified_split(np.array([0] * 8 + [1] * 4), 0.25, seed=0)
    >>> len(stay), len(held_out)
    (9, 3)
    """
    if not 0 < fraction < 1:
        raise InputError(f"{name} must be between 0 and 1, got {fraction}: give for instance 0.2")
    rng = np.random.default_rng(seed)
    chosen = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        wanted = min(max(1, round(fraction * len(members))), len(members) - 1)
        chosen[rng.permutation(members)[:wanted]] = True
    return np.flatnonzero(~chosen), np.flatnonzero(chosen)
