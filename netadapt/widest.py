"""The widest of several widths that meets a limit, where every question costs a measurement."""

from __future__ import annotations

from collections.abc import Callable, Sequence

LOOK_ABOVE = 3
"""Wider widths tried past the first that fails; by eights these reach the next multiple of 32."""


def widest_satisfying(widths: Sequence[int], satisfies: Callable[[int], bool]) -> int | None:
    """The largest of ascending `widths` that satisfies, without asking about all of them.

    >>> widest_satisfying(range(8, 960, 8), lambda width: width <= 500)
    496

    Latency over width is a step function with noise and bumps: a width that fills the device's vectors
    can be faster than a narrower one that does not. Guaranteed all the same: what is returned satisfies,
    and no wider width that was asked does. Where narrower is never slower, it is the largest there is.
    None means that the narrowest fails.
    """
    # The narrowest first: most groups cannot give enough, and are then done after one question.
    if not widths or not satisfies(widths[0]):
        return None
    failed: set[int] = set()
    # Bisection. `low` satisfies; `high` does not, or is the current width, which by itself saves nothing.
    low, high = 0, len(widths)
    while high - low > 1:
        middle = (low + high) // 2
        if satisfies(widths[middle]):
            low = middle
        else:
            failed.add(middle)
            high = middle
    # Bisection sees one edge of the function. A bump that it fell behind is most likely narrow.
    above = range(high + 1, min(high + 1 + LOOK_ABOVE, len(widths)))
    for index in reversed(above):
        if index not in failed and satisfies(widths[index]):
            return widths[index]
    return widths[low]
