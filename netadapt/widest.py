"""Find the widest of several widths that meets a limit, with few measurements."""

from __future__ import annotations

from collections.abc import Callable, Sequence

LOOK_ABOVE = 3
"""Widths tried above the first that fails; in steps of 8 these reach the next multiple of 32."""


def widest_satisfying(widths: Sequence[int], satisfies: Callable[[int], bool]) -> int | None:
    """Return the largest of ascending `widths` that satisfies a condition, without testing all of them.

    >>> widest_satisfying(range(8, 960, 8), lambda width: width <= 500)
    496

    Latency over width is a step function with noise and bumps: a width that fills the device's vectors
    can be faster than a narrower one that does not. The returned width always satisfies the condition,
    and no wider width that was tested does. If narrower is never slower, it is the largest of all. None
    means that the narrowest fails.
    """
    # The narrowest first: most groups cannot save enough, and one measurement then settles them.
    if not widths or not satisfies(widths[0]):
        return None
    failed: set[int] = set()
    # Bisection: `low` satisfies; `high` does not, or is past the end.
    low, high = 0, len(widths)
    while high - low > 1:
        middle = (low + high) // 2
        if satisfies(widths[middle]):
            low = middle
        else:
            failed.add(middle)
            high = middle
    # Bisection finds one edge of the step function. A bump above it is most likely narrow.
    above = range(high + 1, min(high + 1 + LOOK_ABOVE, len(widths)))
    for index in reversed(above):
        if index not in failed and satisfies(widths[index]):
            return widths[index]
    return widths[low]
