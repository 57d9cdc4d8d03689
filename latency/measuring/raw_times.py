"""A log of raw run times, to look into a latency later."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from latency.measuring.atomic_json import cache_errors
from latency.measuring.measured import Reading
from latency.measuring.statistics import Blocks


class RawTimes:
    """Appends each reading with its run times to a JSONL file, one per device.

    Args:
        folder: Folder of the files.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, reading: Reading) -> None:
        """Append a reading.

        Raises:
            InputError: It cannot be written.
        """
        entry = {
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "latency": reading.latency.to_dict(),
            "blocks_ms": _short(reading.blocks),
            "anchor_ms": _short(reading.anchor),
        }
        path = self.folder / f"{reading.latency.fingerprint}.jsonl"
        with cache_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(entry) + "\n")


def _short(blocks: Blocks) -> list[list[float]]:
    """Round run times to a tenth of a microsecond."""
    return [[round(ms, 4) for ms in block] for block in blocks]
