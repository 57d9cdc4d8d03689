"""The anchor: a fixed network measured next to every other network.

It should always take the same time. If it is slower than its record, something else is using the device.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from latency.measuring.atomic_json import write_json
from search_spaces.references import mobilenet_v3_small

ANCHOR = mobilenet_v3_small()

QUIET = 1.05
"""Time of the anchor relative to its record, up to which the device is as quiet as it was then."""


class AnchorRecord:
    """The anchor's best median on each device, and those of the probes in the same state, on disk.

    Args:
        folder: Folder of the records, one small file per device.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def best_ms(self, fingerprint: str) -> float | None:
        """Return the device's record in milliseconds; None without one."""
        try:
            content = json.loads(self._path(fingerprint).read_text(encoding="utf-8"))
            return float(content["median_ms"])
        except (OSError, ValueError, TypeError, KeyError):
            return None  # missing or damaged: the next measurement sets it

    def probes_ms(self, fingerprint: str) -> tuple[float, ...]:
        """Return the probes' medians of when the anchor was fastest; none if they were not measured."""
        try:
            content = json.loads(self._path(fingerprint).read_text(encoding="utf-8"))
            return tuple(map(float, content["probes_ms"]))
        except (OSError, ValueError, TypeError, KeyError):
            return ()

    def update(self, fingerprint: str, median_ms: float, probes_ms: Sequence[float] = ()) -> float:
        """Lower the record if this median is smaller; return the record.

        Args:
            fingerprint: The device's.
            median_ms: The anchor's median.
            probes_ms: Those of `latency.measuring.probes`, which are kept with it.
        """
        best = self.best_ms(fingerprint)
        if best is not None and best <= median_ms:
            least = self._least_ms(fingerprint, probes_ms)
            if median_ms <= QUIET * best and least != self.probes_ms(fingerprint):
                self._write(fingerprint, best, least)
            return best
        known = best is not None and best <= QUIET * median_ms  # as quiet as before
        least = self._least_ms(fingerprint, probes_ms) if known else tuple(probes_ms)
        self._write(fingerprint, median_ms, least)
        return median_ms

    def _least_ms(self, fingerprint: str, probes_ms: Sequence[float]) -> tuple[float, ...]:
        """Return each probe's best in states that are as quiet as the quietest."""
        before = self.probes_ms(fingerprint)
        if len(before) != len(probes_ms):
            return tuple(probes_ms) or before
        return tuple(map(min, before, probes_ms))

    def _write(self, fingerprint: str, median_ms: float, probes_ms: Sequence[float]) -> None:
        content = {"median_ms": median_ms, "probes_ms": [*probes_ms]}
        write_json(self._path(fingerprint), content)

    def _path(self, fingerprint: str) -> Path:
        return self.folder / f"{fingerprint}.json"
