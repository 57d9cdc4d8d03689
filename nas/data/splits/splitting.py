"""Hold out images, class by class."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from search_spaces.errors import InputError


def stratified_split(
    labels: NDArray[np.int64],
    fraction: float,
    *,
    seed: int,
    name: str = "fraction",
    keys: NDArray[np.uint64] | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Choose `fraction` of every class at random.

    From a class of two or more images at least one is held out and at least one stays; a class
    with a single image stays whole.

    Args:
        labels: Class index of every image (N,).
        fraction: Fraction to hold out, in (0, 1).
        seed: Random seed.
        name: Name of the fraction in the error.
        keys: A key for every image (N,), instead of the seed: the lowest are held out, so that adding or
            removing an image moves hardly any other. See `keys_of_names`.

    Returns:
        Sorted indices of images that stay and of images held out; together each index once.

    Raises:
        InputError: The fraction is not between 0 and 1.

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
        order = (
            rng.permutation(members)
            if keys is None
            else members[np.argsort(keys[members], kind="stable")]
        )
        chosen[order[: held_out_of(len(members), fraction)]] = True
    return np.flatnonzero(~chosen), np.flatnonzero(chosen)


def held_out_of(count: int, fraction: float) -> int:
    """Return the number of a class's images that are held out.

    >>> held_out_of(10, 0.2), held_out_of(2, 0.01), held_out_of(1, 0.5)
    (2, 1, 0)
    """
    return min(max(1, round(fraction * count)), count - 1)


def keys_of_names(names: Sequence[str], *, seed: int, split: str) -> NDArray[np.uint64]:
    """Hash each name to a number, depending only on name, seed and split.

    >>> keys_of_names(["cat/1.jpg"], seed=0, split="val") == keys_of_names(
    ...     ["cat/1.jpg", "dog/1.jpg"], seed=0, split="val"
    ... )[:1]
    array([ True])
    """
    salt = f"{split}|{seed}|".encode()
    digests = (hashlib.blake2b(salt + name.encode(), digest_size=8) for name in names)
    return np.array([int.from_bytes(digest.digest(), "little") for digest in digests], np.uint64)


def split_as_before(
    labels: NDArray[np.int64],
    fraction: float,
    *,
    names: Sequence[str],
    keys: NDArray[np.uint64],
    held_out: Collection[str],
    before: Collection[str],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Keep images in their splits; draw only new ones, up to `fraction` of each class.

    Args:
        labels: Class index of every image (N,).
        fraction: Fraction to hold out, in (0, 1).
        names: Name of every image (N,).
        keys: See `stratified_split`.
        held_out: Names of images held out before.
        before: Names of all images before.

    Returns:
        As `stratified_split`.
    """
    chosen = np.array([name in held_out for name in names], bool)
    new = np.array([name not in before for name in names], bool)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        wanted = held_out_of(len(members), fraction) - int(chosen[members].sum())
        fresh = members[new[members]]
        order = fresh[np.argsort(keys[fresh], kind="stable")]
        chosen[order[: max(0, wanted)]] = True
    return np.flatnonzero(~chosen), np.flatnonzero(chosen)
