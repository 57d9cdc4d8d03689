"""Append to a lookup table's file."""

from __future__ import annotations

import os
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from latency.estimates.table import Calibration, Header, read_table, table_line
from latency.measuring.measured import Measured
from search_spaces.errors import InputError


class TableFile:
    """The file of an unfinished table; every line is on disk before the next measurement.

    Attributes:
        entries: Latency of each piece.
        scales: Latency over the sum of the pieces, for whole networks that were measured.
        whole: Milliseconds of whole networks for the calibration, by fingerprint.
        calibrated: Whether it is finished.

    Args:
        path: The file; created or continued.
        header: What the table is measured on.

    Raises:
        InputError: The file belongs to another device, space or resolution, or is damaged.
    """

    def __init__(self, path: Path, header: Header) -> None:
        self.path = path
        self.entries: dict[str, float] = {}
        self.scales: list[float] = []
        self.whole: dict[str, float] = {}
        self.calibrated = False
        if path.exists() and path.stat().st_size:
            there = read_table(path)
            self.entries, self.scales, self.whole = there.entries, there.scales, there.whole
            self.calibrated = there.calibration is not None
            for name in ("fingerprint", "space", "resolution", "units"):
                if getattr(there.header, name) != getattr(header, name):
                    raise InputError(
                        f"{path} is of {name} {getattr(there.header, name)}, not {getattr(header, name)}: "
                        "choose another file"
                    )
            _drop_cut_line(path)
        else:
            self._append(table_line("header", asdict(header)))

    def add(self, key: str, ms: float) -> None:
        """Append a piece."""
        self._append(table_line("piece", {"piece": key, "ms": round(ms, 6)}))
        self.entries[key] = round(ms, 6)

    def add_whole(self, fingerprint: str, ms: float) -> None:
        """Append a whole network's latency."""
        self._append(table_line("whole", {"network": fingerprint, "ms": ms}))
        self.whole[fingerprint] = ms

    def add_scale(self, scale: float) -> None:
        """Append a whole network's latency over the sum of its pieces."""
        self._append(table_line("scale", {"scale": scale}))
        self.scales.append(scale)

    def close(self, calibration: Calibration) -> None:
        """Append the calibration."""
        self._append(table_line("calibration", asdict(calibration)))
        self.whole = {}
        self.calibrated = True

    def _append(self, line: str) -> None:
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise InputError(f"{self.path}: {error.strerror}: choose another file") from error


def _drop_cut_line(path: Path) -> None:
    content = path.read_bytes()
    if not content.endswith(b"\n"):
        with path.open("r+b") as file:
            file.truncate(content.rfind(b"\n") + 1)


def new_header(source: Measured, *, space: str, resolution: int, units: str = "ms") -> Header:
    """Make the header of a new table."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return Header(source.device.name, source.device.fingerprint, space, resolution, now, units)
