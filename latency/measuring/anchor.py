"""The anchor: one fixed network, run beside whatever is measured on a device.

It should always take the same time. When it takes longer than it once did, something else is using the
device.
"""

from __future__ import annotations

import json
from pathlib import Path

from latency.measuring.atomic_json import keep_json
from search_spaces.references import mobilenet_v3_small

ANCHOR = mobilenet_v3_small()


class AnchorRecord:
    """The anchor's best median on each device, on disk.

    Args:
        folder: Where the records are, a small file a device.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def best_ms(self, fingerprint: str) -> float | None:
        """The device's record in milliseconds; None before the first."""
        try:
            content = json.loads(self._path(fingerprint).read_text(encoding="utf-8"))
            return float(content["median_ms"])
        except (OSError, ValueError, TypeError, KeyError):
            return None  # absent or damaged: the next measurement sets it

    def see(self, fingerprint: str, median_ms: float) -> float:
        """Note a median; returns the record, which it may be."""
        best = self.best_ms(fingerprint)
        if best is not None and best <= median_ms:
            return best
        keep_json(self._path(fingerprint), {"median_ms": median_ms})
        return median_ms

    def _path(self, fingerprint: str) -> Path:
        return self.folder / f"{fingerprint}.json"
