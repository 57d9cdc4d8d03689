"""A lookup table: the latency of every piece of a space on one device, in one readable file.

The file is JSONL: a header (device, space, resolution, date), the pieces (`ms`, from `profile.py`), the
whole networks that calibrate it, and the calibration with its held-out error. Every line has a checksum, so
that an edited or truncated line is detected.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from latency.estimates.pieces import pieces
from latency.measuring.source import Device, Latency, MeasurementError
from search_spaces.errors import InputError
from search_spaces.shell import quoted
from search_spaces.spec import ArchSpec

FORMAT = "mobile-nas latency table 1"


@dataclass(frozen=True)
class Header:
    """What a table was measured on.

    Attributes:
        device: The device's name.
        fingerprint: The device's fingerprint.
        space: The space's name.
        resolution: Side of the input in pixels.
        date: When it was created.
        units: Unit of the latencies: `ms`, or `anchor`, fractions of the anchor's latency.
        format: Version of the file format.
    """

    device: str
    fingerprint: str
    space: str
    resolution: int
    date: str
    units: str = "ms"
    format: str = FORMAT


@dataclass(frozen=True)
class Calibration:
    """Maps the sum of a network's pieces to its latency: latency = scale * sum + offset_ms.

    Attributes:
        scale: Latency of pieces within a network relative to alone.
        offset_ms: Constant latency of every network.
        fitted: Number of networks that it was fitted to.
        held_out: Number of other networks, on which the errors are computed.
        mape: Mean of |error| / latency, 0..1.
        tau: Kendall's rank correlation.
        within_10: Fraction of networks within 10%, 0..1.
    """

    scale: float
    offset_ms: float
    fitted: int
    held_out: int
    mape: float
    tau: float
    within_10: float


class LookupTable:
    """A latency source that sums a table's pieces: an estimate with a known error.

    Args:
        path: The table's file.

    Raises:
        InputError: The file is missing, of another format, edited, truncated or without a calibration.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        content = read_table(path)
        if content.calibration is None:
            raise InputError(
                f"{path}: not finished: resume with nas profile --resume -o {quoted(path)}"
            )
        self.header, self.entries = content.header, content.entries
        self.calibration = calibration = content.calibration
        contents = json.dumps([asdict(self.header), self.entries, asdict(calibration)])
        digest = hashlib.sha256(contents.encode()).hexdigest()[:12]
        name = (
            f"{self.header.device}, table of {len(self.entries)} pieces "
            f"(held-out error {100 * calibration.mape:.1f}%)"
        )
        self.device = Device(name, f"table-{digest}", estimate=True)

    def latency(self, spec: ArchSpec) -> Latency:
        """Return the calibrated sum of the network's pieces.

        Raises:
            MeasurementError: The table has another resolution, or lacks a piece.
        """
        if spec.resolution != self.header.resolution:
            raise MeasurementError(
                f"{self.path} is of {self.header.resolution} px, the network of {spec.resolution} px: "
                "profile that resolution"
            )
        total = 0.0
        for piece in pieces(spec):
            if piece.key not in self.entries:
                raise MeasurementError(
                    f"{self.path} has no '{piece.key}': it is of the space {self.header.space}; "
                    "nas profile --resume measures more with --also"
                )
            total += self.entries[piece.key]
        ms = self.calibration.scale * total + self.calibration.offset_ms
        return Latency.exactly(max(ms, 1e-6), self.device)


@dataclass(frozen=True)
class Content:
    """The content of a table's file.

    Attributes:
        header: What it was measured on.
        entries: Latency of each piece, in the header's units.
        calibration: None if there is none yet.
        scales: Latency over the sum of the pieces, for whole networks measured meanwhile.
        whole: Milliseconds of whole networks measured for the next calibration, by fingerprint.
    """

    header: Header
    entries: dict[str, float]
    calibration: Calibration | None
    scales: list[float]
    whole: dict[str, float]


def read_table(path: Path) -> Content:
    """Read a table's file.

    An incomplete last line was cut by a crash and is ignored.

    Raises:
        InputError: See `LookupTable`.
    """
    header: Header | None = None
    entries: dict[str, float] = {}
    calibration: Calibration | None = None
    scales: list[float] = []
    whole: dict[str, float] = {}
    for number, entry in _lines(path):
        kind, content = entry["kind"], entry["content"]
        try:
            if kind == "header":
                header = _header(content, path)
            elif kind == "piece":
                entries[content["piece"]] = _finite(content["ms"])
                calibration = None  # it does not cover later pieces
            elif kind == "calibration":
                calibration = Calibration(**content)
                whole = {}  # by the next one the device may have drifted
            elif kind == "whole":
                whole[content["network"]] = _finite(content["ms"])
            elif kind == "scale":
                scales.append(_finite(content["scale"]))
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{path}, line {number}: {error}: profile again") from error
    if header is None:
        raise InputError(f"{path}: not a latency table: create one with nas profile")
    return Content(header, entries, calibration, scales, whole)


def _header(content: dict[str, Any], path: Path) -> Header:
    if content.get("format") != FORMAT:
        raise InputError(f"{path}: written by another version: profile again")
    return Header(**content)


def _finite(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"milliseconds must be a finite number, got {value!r}")
    return float(value)


def _lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}: give a table made by nas profile") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not a text file: give a table made by nas profile") from error
    whole, _, _cut = text.rpartition("\n")
    for number, line in enumerate(whole.splitlines(), start=1):
        try:
            entry = json.loads(line)
            intact = entry["check"] == checksum(entry["kind"], entry["content"])
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{path}, line {number}: not a latency table: profile again"
            ) from error
        if not intact:
            raise InputError(f"{path}, line {number}: was edited or damaged: profile again")
        yield number, entry


def checksum(kind: str, content: dict[str, Any]) -> str:
    """Return the checksum of a line: 8 hexadecimal digits."""
    text = json.dumps([kind, content], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def table_line(kind: str, content: dict[str, Any]) -> str:
    """Format a line of the file."""
    entry = {"kind": kind, "content": content, "check": checksum(kind, content)}
    return json.dumps(entry) + "\n"
