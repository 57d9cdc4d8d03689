"""The anchor: a fixed network measured next to every other network.

It should always take the same time. If it is slower than its record, something else is using the device.
"""

from __future__ import annotations

import json
from pathlib import Path

from latency.measuring.atomic_json import write_json
from search_spaces.references import mobilenet_v3_small

ANCHOR = mobilenet_v3_small()


class AnchorRecord:
    """The anchor's best median on each device, on disk.

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

    def update(self, fingerprint: str, median_ms: float) -> float:
        """Lower the record if this median is smaller; return the record."""
        best = self.best_ms(fingerprint)
        if best is not None and best <= median_ms:
            return best
        write_json(self._path(fingerprint), {"median_ms": median_ms})
        return median_ms

    def _path(self, fingerprint: str) -> Path:
        return self.folder / f"{fingerprint}.json"
