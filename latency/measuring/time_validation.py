"""Validation of run times reported by a device."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from latency.measuring.source import MeasurementError


def validated_ms(times: Sequence[Any], *, source: str) -> list[float]:
    """Return times in milliseconds if all are finite numbers above 0.

    >>> validated_ms([1, 2.5], source="lab")
    [1.0, 2.5]

    Args:
        times: Times as reported.
        source: Name of what reported them.

    Raises:
        MeasurementError: One is not a time.
    """
    for ms in times:
        if isinstance(ms, bool) or not isinstance(ms, int | float):
            raise MeasurementError(f"{source} returned {ms!r} instead of a time in milliseconds")
        if not math.isfinite(ms) or ms <= 0:
            raise MeasurementError(f"{source} returned a time of {ms:g} ms")
    return [float(ms) for ms in times]
