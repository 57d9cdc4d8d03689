"""Build a lookup table: time every distinct piece of a space, then calibrate on whole networks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from latency.estimates.pieces import Piece, pieces
from latency.estimates.table import Calibration
from latency.estimates.table_file import TableFile
from latency.measuring.measured import Measured
from latency.measuring.statistics import Timing, block_medians
from search_spaces.spec import ArchSpec

BATCH = 8
"""Pieces timed together, interleaved."""

PIECE_TIMING = Timing(
    warmup_s=0.03, block_s=0.006, min_blocks=12, max_s=0.12, half_width=0.02, retries=1
)
"""Shorter than for whole networks: errors of single pieces average out in a sum."""


@dataclass(frozen=True)
class Progress:
    """Progress of profiling: first pieces, then whole networks."""

    what: str
    done: int
    total: int


def time_pieces(
    source: Measured,
    wanted: Sequence[Piece],
    table: TableFile,
    *,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> None:
    """Time the pieces that the table lacks, and write each to it.

    Raises:
        MeasurementError: The device rejects a piece, or is lost; the file keeps the pieces timed so far.
    """
    missing = list({p.key: p for p in wanted if p.key not in table.entries}.values())
    quick = source.with_timing(PIECE_TIMING)
    for start in range(0, len(missing), BATCH):
        on_progress(Progress("pieces", start, len(missing)))
        batch = missing[start : start + BATCH]
        for piece, difference in zip(batch, differences(quick, batch), strict=True):
            table.add(piece.key, difference.ms)
    on_progress(Progress("pieces", len(missing), len(missing)))


@dataclass(frozen=True)
class Difference:
    """The latency that a piece adds to a small network, median over rounds.

    Attributes:
        ms: In milliseconds; 0 if it is within the noise.
        over_anchor: As a fraction of the anchor's latency in the same rounds.
    """

    ms: float
    over_anchor: float


def differences(source: Measured, batch: Sequence[Piece]) -> list[Difference]:
    """Time pieces, interleaved, each as the difference of two small networks, with it and without.

    Raises:
        MeasurementError: The device rejects one, or is lost.
    """
    networks: dict[str, ArchSpec] = {}
    for piece in batch:
        for spec in (piece.probe(), piece.without()):
            networks[spec.fingerprint] = spec
    readings = dict(zip(networks, source.compare(list(networks.values())), strict=True))

    def difference(piece: Piece) -> Difference:
        probe, without = (readings[s.fingerprint] for s in (piece.probe(), piece.without()))
        more_ms = block_medians(probe.blocks) - block_medians(without.blocks)  # (rounds,)
        over_anchor = float(np.median(more_ms / block_medians(probe.anchor)))
        return Difference(max(0.0, float(np.median(more_ms))), max(0.0, over_anchor))

    return [difference(piece) for piece in batch]


def calibrate(
    source: Measured,
    fitted: Sequence[ArchSpec],
    held_out: Sequence[ArchSpec],
    table: TableFile,
    *,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> Calibration:
    """Fit scale and offset to some whole networks, and compute the error on held-out ones.

    Networks that the table lacks are measured.

    Raises:
        MeasurementError: The device rejects a network, or is lost.
    """
    everything = [*fitted, *held_out]
    for done, spec in enumerate(everything):
        on_progress(Progress("whole networks", done, len(everything)))
        if spec.fingerprint not in table.whole:
            table.add_whole(spec.fingerprint, source.latency(spec).median_ms)
    on_progress(Progress("whole networks", len(everything), len(everything)))
    sums = np.array(
        [sum(table.entries[piece.key] for piece in pieces(spec)) for spec in everything]
    )
    measured = np.array([table.whole[spec.fingerprint] for spec in everything])
    count = len(fitted)
    scale, offset = fit(sums[:count], measured[:count])
    calibration = errors(scale * sums[count:] + offset, measured[count:])
    found = Calibration(scale, offset, count, len(held_out), *calibration)
    table.close(found)
    return found


def fit(sums: np.ndarray, measured: np.ndarray) -> tuple[float, float]:
    """Return the scale and offset of least squared relative error.

    >>> scale, offset = fit(np.array([1.0, 2.0, 4.0]), np.array([1.6, 2.6, 4.6]))
    >>> round(scale, 6), round(offset, 6)
    (1.0, 0.6)
    """
    design = np.stack([sums, np.ones(len(sums))], axis=1)  # (networks, 2)
    scale, offset = relative_least_squares(design, measured)
    return float(scale), float(offset)


def relative_least_squares(design: np.ndarray, measured: np.ndarray) -> np.ndarray:
    """Return the x that minimizes the sum of ((design x - measured) / measured)^2.

    Args:
        design: Features of each network, (networks, features).
        measured: Latencies, (networks,), above 0.
    """
    relative = design / measured[:, None]
    coefficients: np.ndarray = np.linalg.lstsq(relative, np.ones(len(measured)), rcond=None)[0]
    return coefficients


def errors(predicted: np.ndarray, measured: np.ndarray) -> tuple[float, float, float]:
    """Return the mean relative error, Kendall's tau, and the fraction within 10%.

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
