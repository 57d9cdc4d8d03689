"""Times that came from elsewhere: believed only if they can be times."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from latency.measuring.source import MeasurementError


def plausible_ms(times: Sequence[Any], *, source: str) -> list[float]:
    """Times in milliseconds, if all of them are finite numbers above 0.

    >>> plausible_ms([1, 2.5], source="lab")
    [1.0, 2.5]

    Args:
        times: As the source gave them.
        source: For people.

    Raises:
        MeasurementError: One is not a time; shows it.
    """
    for ms in times:
        if isinstance(ms, bool) or not isinstance(ms, int | float):
            raise MeasurementError(f"{source} gave {ms!r} where a time in milliseconds belongs")
        if not math.isfinite(ms) or ms <= 0:
            raise MeasurementError(f"{source} gave a time of {ms:g} ms")
    return [float(ms) for ms in times]
