"""Learning rate of each step, as a fraction of the peak rate: pure functions, so without state."""

from __future__ import annotations

import math

from nas.training.recipe import Cosine, Exponential, Recipe


def rate_factor(recipe: Recipe, step: int, *, total: int, epoch_steps: int) -> float:
    """Return the learning rate at a step as a fraction of `recipe.peak_rate`.

    Args:
        recipe: Its schedule and warm-up.
        step: Finished steps, 0..total-1.
        total: Steps of the training.
        epoch_steps: Steps of an epoch.
    """
    warmup, schedule = recipe.warmup_fraction, recipe.schedule
    if isinstance(schedule, Cosine):
        return cosine(step, total, warmup_fraction=warmup, final=schedule.final)
    if isinstance(schedule, Exponential):
        return exponential(
            step,
            total,
            warmup_fraction=warmup,
            factor=schedule.factor,
            every=schedule.every_epochs * epoch_steps,
        )
    return one_cycle(step, total, warmup_fraction=warmup)


def one_cycle(step: int, total: int, *, warmup_fraction: float) -> float:
    """Return the fraction of the peak rate at a step (Smith & Topin 2018, with fast.ai's cosines).

    It rises from 1/25 to 1 during the warm-up, then falls to almost 0 at the last step.

    >>> [round(one_cycle(s, 11, warmup_fraction=0.3), 2) for s in (0, 3, 10)]
    [0.04, 1.0, 0.0]
    """
    first, last = 1 / 25, 1e-5
    peak = warmup_fraction * (total - 1)
    if step < peak:
        return _half_cosine(first, 1.0, part=step / peak)
    return _half_cosine(1.0, last, part=(step - peak) / max(total - 1 - peak, 1e-9))


def cosine(step: int, total: int, *, warmup_fraction: float, final: float = 0.0) -> float:
    """Return the fraction of the peak rate: a linear warm-up, then half a cosine down to `final`.

    >>> [round(cosine(s, 100, warmup_fraction=0.1), 2) for s in (0, 9, 10, 55, 99)]
    [0.1, 1.0, 1.0, 0.5, 0.0]
    """
    warmup = warmup_fraction * total
    if step < warmup:
        return min(1.0, (step + 1) / warmup)
    return _half_cosine(1.0, final, part=(step - warmup) / (total - warmup))


def exponential(
    step: int, total: int, *, warmup_fraction: float, factor: float, every: float
) -> float:
    """Return the fraction of the peak rate: a linear warm-up, then `factor` once every `every` steps.

    >>> [round(exponential(s, 100, warmup_fraction=0, factor=0.99, every=30), 4) for s in (0, 29, 30, 90)]
    [1.0, 1.0, 0.99, 0.9703]
    """
    warmup = warmup_fraction * total
    if step < warmup:
        return min(1.0, (step + 1) / warmup)
    return factor ** math.floor(step / every)


def _half_cosine(start: float, end: float, *, part: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * part)) / 2
