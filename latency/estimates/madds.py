"""Latency estimated from MAdds: deterministic, for tests and devices out of reach."""

from __future__ import annotations

import math

from latency.measuring.source import Device, Latency
from search_spaces.cost import count
from search_spaces.errors import InputError
from search_spaces.spec import ArchSpec


class MaddsEstimate:
    """MAdds over a constant rate.

    Real devices have no constant rate (depthwise layers are far slower per operation than 1x1 ones), so it
    is labelled as an estimate.

    >>> from search_spaces.references import mobilenet_v2
    >>> round(MaddsEstimate(10.0).latency(mobilenet_v2()).median_ms, 2)
    30.08

    Args:
        rate: G MAdds/s.

    Raises:
        InputError: The rate is not a positive number.
    """

    def __init__(self, rate: float) -> None:
        if not (math.isfinite(rate) and rate > 0):
            raise InputError(
                f"madds rate must be above 0, got {rate:g}: give G MAdds/s, for instance madds:10"
            )
        self.rate = rate
        self.device = Device(f"estimate at {rate:g} G MAdds/s", f"madds-{rate:g}", estimate=True)

    def latency(self, spec: ArchSpec) -> Latency:
        """Return MAdds / rate in milliseconds."""
        return Latency.exactly(count(spec).madds / (self.rate * 1e6), self.device)
