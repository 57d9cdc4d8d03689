"""A latency function that measures each network once."""

from __future__ import annotations

from collections.abc import Callable

from latency.measuring.source import DeviceLostError, LatencySource, MeasurementError
from search_spaces.spec import ArchSpec

LatencyMs = Callable[[ArchSpec], float]
"""Returns a network's latency in milliseconds."""


def memoized(source: LatencySource | LatencyMs) -> LatencyMs:
    """Memoize the latencies of a source, and its refusals, by fingerprint.

    A step retried with a smaller delta then measures only widths that are new.
    """
    measure = source if callable(source) else lambda spec: source.latency(spec).median_ms
    known: dict[str, float | MeasurementError] = {}

    def latency_ms(spec: ArchSpec) -> float:
        if spec.fingerprint not in known:
            try:
                known[spec.fingerprint] = measure(spec)
            except DeviceLostError:
                raise
            except MeasurementError as error:
                known[spec.fingerprint] = error
        answer = known[spec.fingerprint]
        if isinstance(answer, MeasurementError):
            raise answer
        return answer

    return latency_ms
