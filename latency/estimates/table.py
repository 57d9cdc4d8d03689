"""A lookup table: the latency of every piece of a space on one device, in one readable file.

The file has a line of JSON each for: the header (device, space, resolution, date), the pieces (`ms`, from
`profile.py`), the whole networks that calibrate it, and the calibration with the held-out error. Every line
carries a checksum, so that a line that was edited, or cut by a crash, is known.
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
    """What a table is of.

    Attributes:
        device: The device's name.
        fingerprint: The device's fingerprint.
        space: The space's name.
        resolution: Side of the input in pixels.
        date: When it was begun.
        units: Of every figure: `ms`, or `anchor`, parts of the anchor network's latency.
        format: Version of the file's form.
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
    """From the sum of a network's pieces to its latency, and how far off that is.

    latency = scale * sum + offset_ms. The errors are of networks that the two were not fitted to.

    Attributes:
        scale: What pieces take beside each other, over what they take alone.
        offset_ms: What a network takes whatever its pieces.
        fitted: Networks that it was fitted to.
        held_out: Networks that the errors are of.
        mape: Mean of |error| / latency, 0..1.
        tau: Kendall's rank correlation.
        within_10: Share of networks within 10%, 0..1.
    """

    scale: float
    offset_ms: float
    fitted: int
    held_out: int
    mape: float
    tau: float
    within_10: float


class LookupTable:
    """A latency source that adds up a table's pieces: an estimate with a known error.

    Args:
        path: The table's file.

    Raises:
        InputError: No such file, another form, a line edited or cut, or a table without calibration.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        content = read_table(path)
        if content.calibration is None:
            raise InputError(
                f"{path}: not finished: go on with nas profile --resume -o {quoted(path)}"
            )
        self.header, self.entries = content.header, content.entries
        self.calibration = calibration = content.calibration
        told = json.dumps([asdict(self.header), self.entries, asdict(calibration)])
        digest = hashlib.sha256(told.encode()).hexdigest()[:12]
        name = (
            f"{self.header.device}, table of {len(self.entries)} pieces "
            f"(held-out error {100 * calibration.mape:.1f}%)"
        )
        self.device = Device(name, f"table-{digest}", estimate=True)

    def latency(self, spec: ArchSpec) -> Latency:
        """The calibrated sum of the network's pieces.

        Raises:
            MeasurementError: The table is of another resolution, or lacks one of the pieces.
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
    """What a file holds.

    Attributes:
        header: What it is of.
        entries: What each piece takes, in the header's units.
        calibration: None where it has none yet.
        scales: Of whole networks measured meanwhile: latency over the sum of the pieces.
        whole: Milliseconds of whole networks measured for the next calibration, by fingerprint.
    """

    header: Header
    entries: dict[str, float]
    calibration: Calibration | None
    scales: list[float]
    whole: dict[str, float]


def read_table(path: Path) -> Content:
    """Everything in a table's file.

    A last line without its end was cut by a crash, and is left out.

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
                calibration = None  # pieces after it were not in it
            elif kind == "calibration":
                calibration = Calibration(**content)
                whole = {}  # the device may be at another pace by the next one
            elif kind == "whole":
                whole[content["network"]] = _finite(content["ms"])
            elif kind == "scale":
                scales.append(_finite(content["scale"]))
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{path}, line {number}: {error}: profile again") from error
    if header is None:
        raise InputError(f"{path}: no latency table: make one with nas profile")
    return Content(header, entries, calibration, scales, whole)


def _header(content: dict[str, Any], path: Path) -> Header:
    if content.get("format") != FORMAT:
        raise InputError(f"{path}: a table of another version: profile again")
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
                f"{path}, line {number}: not of a latency table: profile again"
            ) from error
        if not intact:
            raise InputError(f"{path}, line {number}: was edited or damaged: profile again")
        yield number, entry


def checksum(kind: str, content: dict[str, Any]) -> str:
    """Of a line's content, 8 hexadecimal digits."""
    text = json.dumps([kind, content], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def table_line(kind: str, content: dict[str, Any]) -> str:
    """A line of the file."""
    entry = {"kind": kind, "content": content, "check": checksum(kind, content)}
    return json.dumps(entry) + "\n"
