"""Randomness of a training as a function of its seed and its step, so that resuming needs no state."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np
import torch

ORDER, CHANGES, MIXING, LAYERS = range(4)
"""What the random numbers are for: order of the images, their augmentation, mixing them, dropout."""


def derived_seed(seed: int, purpose: int, number: int) -> int:
    """Return a seed for one purpose and one epoch or step; those of others are independent of it."""
    words = np.random.SeedSequence((seed, purpose, number)).generate_state(2, np.uint32)
    return int(words[0]) << 31 ^ int(words[1])


def generator(
    seed: int, purpose: int, number: int, device: torch.device | str = "cpu"
) -> torch.Generator:
    """Return a generator for one purpose and one epoch or step."""
    return torch.Generator(device).manual_seed(derived_seed(seed, purpose, number))


@contextlib.contextmanager
def global_seed(seed: int) -> Iterator[None]:
    """Seed torch's global CPU generator, for functions that take none; restore its state on exit."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield
