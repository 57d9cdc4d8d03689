"""Readings kept on disk, by network and device."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from latency.measuring.atomic_json import keep_json
from latency.measuring.source import Device, Latency, LatencySource, units
from latency.measuring.user_folders import cache_folder
from search_spaces.spec import ArchSpec


class Cached:
    """A source that measures each network once on each device.

    One small file a reading, moved into place when whole: processes can share the folder, and a
    `kill -9` leaves no half of a reading. Unstable readings are not kept, so they are taken again.
    """

    def __init__(self, source: LatencySource, folder: Path | None = None) -> None:
        self.source, self.folder = source, folder or cache_folder()

    @property
    def device(self) -> Device:
        """The device of the source behind."""
        return self.source.device

    @property
    def units(self) -> Sequence[Device]:
        """The devices behind that source."""
        return units(self.source)

    def holds(self, spec: ArchSpec) -> bool:
        """Whether a reading of this network is kept."""
        return _read(self._path(spec)) is not None

    def latency(self, spec: ArchSpec) -> Latency:
        """The kept reading, or a new one."""
        path = self._path(spec)
        kept = _read(path)
        if kept is not None:
            return kept
        reading = self.source.latency(spec)
        if reading.stable:
            keep_json(path, reading.to_dict())
        return reading

    def _path(self, spec: ArchSpec) -> Path:
        return self.folder / self.device.fingerprint / f"{spec.fingerprint}.json"


def _read(path: Path) -> Latency | None:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return Latency.from_dict({"anchor_ms": data["anchor_ms"], **data})
    except (OSError, ValueError, TypeError, KeyError):
        return None  # absent, or not a reading of this version: measured anew and written over
