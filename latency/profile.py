"""Building a lookup table: time every distinct piece of a space, then calibrate on whole networks."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from latency.measured import Measured
from latency.pieces import Piece, pieces
from latency.statistics import Timing, block_medians
from latency.table import Calibration, Header, read_table, table_line
from search_spaces.errors import InputError
from search_spaces.spec import ArchSpec

BATCH = 8
"""Pieces timed together, in turns, each beside its network without it."""

PIECE_TIMING = Timing(
    warmup_s=0.03, block_s=0.006, min_blocks=12, max_s=0.12, half_width=0.02, retries=1
)
"""Shorter than for whole networks: errors of single pieces average out in a sum."""


@dataclass(frozen=True)
class Progress:
    """How far the building is: of pieces, then of whole networks."""

    what: str
    done: int
    total: int


class TableFile:
    """The file of a table that is being built; every line is on disk before the next is measured.

    Args:
        path: Made if it is not there; what it holds is kept.
        header: What the table is of.

    Raises:
        InputError: The file is of another device, space or resolution, or damaged.
    """

    def __init__(self, path: Path, header: Header) -> None:
        self.path = path
        self.entries: dict[str, float] = {}
        self.calibrated = False
        if path.exists() and path.stat().st_size:
            there, self.entries, calibration = read_table(path)
            self.calibrated = calibration is not None
            for name in ("fingerprint", "space", "resolution"):
                if getattr(there, name) != getattr(header, name):
                    raise InputError(
                        f"{path} is of {name} {getattr(there, name)}, not {getattr(header, name)}: "
                        "choose another file"
                    )
            _drop_cut_line(path)
        else:
            self._append(table_line("header", asdict(header)))

    def add(self, key: str, ms: float) -> None:
        """Keep a piece."""
        self._append(table_line("piece", {"piece": key, "ms": round(ms, 6)}))
        self.entries[key] = round(ms, 6)

    def close(self, calibration: Calibration) -> None:
        """End with the calibration."""
        self._append(table_line("calibration", asdict(calibration)))
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


def new_header(source: Measured, *, space: str, resolution: int) -> Header:
    """The header of a table begun now."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return Header(source.device.name, source.device.fingerprint, space, resolution, now)


def time_pieces(
    source: Measured,
    wanted: Sequence[Piece],
    table: TableFile,
    *,
    tell: Callable[[Progress], None] = lambda _: None,
) -> None:
    """Time the pieces that the table lacks, and keep each.

    Raises:
        MeasurementError: The device refuses a piece, or has gone; what is done is in the file.
    """
    missing = list({p.key: p for p in wanted if p.key not in table.entries}.values())
    quick = source.timed(PIECE_TIMING)
    for start in range(0, len(missing), BATCH):
        tell(Progress("pieces", start, len(missing)))
        batch = missing[start : start + BATCH]
        for piece, ms in zip(batch, _differences(quick, batch), strict=True):
            table.add(piece.key, ms)
    tell(Progress("pieces", len(missing), len(missing)))


def _differences(source: Measured, batch: Sequence[Piece]) -> list[float]:
    """What each piece adds to the network without it: the median over rounds of the difference."""
    networks: dict[str, ArchSpec] = {}
    for piece in batch:
        for spec in (piece.probe(), piece.without()):
            networks[spec.fingerprint] = spec
    readings = dict(zip(networks, source.compare(list(networks.values())), strict=True))

    def medians(spec: ArchSpec) -> np.ndarray:
        return block_medians(readings[spec.fingerprint].blocks)

    return [
        max(0.0, float(np.median(medians(piece.probe()) - medians(piece.without()))))
        for piece in batch
    ]


def calibrate(
    source: Measured,
    fitted: Sequence[ArchSpec],
    held_out: Sequence[ArchSpec],
    table: TableFile,
    *,
    tell: Callable[[Progress], None] = lambda _: None,
) -> Calibration:
    """Measure whole networks, fit scale and offset to some and take the error of the others.

    Raises:
        MeasurementError: The device refuses a network, or has gone.
    """
    latencies: list[float] = []
    everything = [*fitted, *held_out]
    for done, spec in enumerate(everything):
        tell(Progress("whole networks", done, len(everything)))
        latencies.append(source.latency(spec).median_ms)
    tell(Progress("whole networks", len(everything), len(everything)))
    sums = np.array(
        [sum(table.entries[piece.key] for piece in pieces(spec)) for spec in everything]
    )
    measured = np.array(latencies)
    count = len(fitted)
    scale, offset = fit(sums[:count], measured[:count])
    calibration = errors(scale * sums[count:] + offset, measured[count:])
    found = Calibration(scale, offset, count, len(held_out), *calibration)
    table.close(found)
    return found


def fit(sums: np.ndarray, measured: np.ndarray) -> tuple[float, float]:
    """Scale and offset of least squared relative error.

    >>> scale, offset = fit(np.array([1.0, 2.0, 4.0]), np.array([1.6, 2.6, 4.6]))
    >>> round(scale, 6), round(offset, 6)
    (1.0, 0.6)
    """
    design = np.stack([sums, np.ones(len(sums))], axis=1)  # (networks, 2)
    scale, offset = relative_least_squares(design, measured)
    return float(scale), float(offset)


def relative_least_squares(design: np.ndarray, measured: np.ndarray) -> np.ndarray:
    """The x that minimises the sum of ((design x - measured) / measured)^2.

    Args:
        design: What each network has of each part, (networks, parts).
        measured: Its latency, (networks,), above 0.
    """
    relative = design / measured[:, None]
    coefficients: np.ndarray = np.linalg.lstsq(relative, np.ones(len(measured)), rcond=None)[0]
    return coefficients


def errors(predicted: np.ndarray, measured: np.ndarray) -> tuple[float, float, float]:
    """Mean relative error, Kendall's tau, and the share within 10%.

    >>> mape, tau, within = errors(np.array([1.0, 2.2, 3.0]), np.array([1.0, 2.0, 4.0]))
    >>> round(mape, 3), tau, round(within, 3)
    (0.117, 1.0, 0.667)
    """
    relative = np.abs(predicted / measured - 1)
    before, after = np.triu_indices(len(measured), k=1)
    concordant = np.sign(predicted[after] - predicted[before]) * np.sign(
        measured[after] - measured[before]
    )
    return float(relative.mean()), float(concordant.mean()), float((relative <= 0.1 + 1e-9).mean())
