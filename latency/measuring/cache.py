"""Readings cached on disk, by network and device."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from latency.measuring.atomic_json import write_json
from latency.measuring.source import Device, Latency, LatencySource, devices_of
from latency.measuring.user_folders import cache_folder
from search_spaces.spec import ArchSpec


class Cached:
    """A source that measures each network once on each device.

    Each reading is one small file, written atomically: processes can share the folder, and a `kill -9`
    leaves no partial reading. Unstable readings are not cached, so they are measured again.
    """

    def __init__(self, source: LatencySource, folder: Path | None = None) -> None:
        self.source, self.folder = source, folder or cache_folder()

    @property
    def device(self) -> Device:
        """The device of the wrapped source."""
        return self.source.device

    @property
    def devices(self) -> Sequence[Device]:
        """The devices of the wrapped source."""
        return devices_of(self.source)

    def holds(self, spec: ArchSpec) -> bool:
        """Whether a reading of this network is cached."""
        return _read(self._path(spec)) is not None

    def latency(self, spec: ArchSpec) -> Latency:
        """Return the cached reading, or measure."""
        path = self._path(spec)
        cached = _read(path)
        if cached is not None:
            return cached
        reading = self.source.latency(spec)
        if reading.stable:
            write_json(path, reading.to_dict())
        return reading

    def _path(self, spec: ArchSpec) -> Path:
        return self.folder / self.device.fingerprint / f"{spec.fingerprint}.json"


def _read(path: Path) -> Latency | None:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return Latency.from_dict({"anchor_ms": data["anchor_ms"], **data})
    except (OSError, ValueError, TypeError, KeyError):
        return None  # missing, or of another version: measured again and overwritten
