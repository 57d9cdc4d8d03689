"""A lookup table filled on demand: pieces are timed when a network first needs them, and summed.

It suits NetAdapt: a step measures about a hundred networks that share all but a few of their pieces, and
compares differences of a few percent. Timing only the new pieces takes a fraction of the time of whole
networks, and a disturbance affects only these.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from latency.estimates.pieces import Piece, pieces
from latency.estimates.profile import BATCH, PIECE_TIMING, differences
from latency.estimates.table_file import TableFile, new_header
from latency.measuring.measured import Measured
from latency.measuring.source import Device, Latency, MeasurementError
from latency.measuring.user_folders import cache_folder
from search_spaces.spec import ArchSpec

SPACE = "on demand"
"""The space's name in the header of the file."""

UNITS = "anchor"
"""Unit of the file: fractions of the anchor's latency, which are robust against drift of the device."""


class LazyTable:
    """A latency source that sums pieces, timed on another source when they are first needed.

    Sums are in units of the anchor. A whole network's latency scales them to milliseconds: the last one
    given to `calibrate`, else the first network ever measured.

    Args:
        source: Measures the pieces.
        folder: Folder of the tables, one file per resolution; in the user's cache by default.
        reference: Anchor of whole networks, and the first network to calibrate to.
    """

    def __init__(
        self, source: Measured, folder: Path | None = None, reference: ArchSpec | None = None
    ) -> None:
        self.source, self.folder = source, folder or cache_folder() / "pieces"
        self.reference = reference
        self._quick = source.with_timing(PIECE_TIMING)
        self._whole = source if reference is None else source.with_anchor(reference)
        self._scale: float | None = None
        self._measured: Latency | None = None  # the reference
        name = f"{source.device.name}, by pieces"
        fingerprint = f"pieces-{source.device.fingerprint}"
        self.device = Device(name, fingerprint, estimate=True, local=source.device.local)
        self._tables: dict[int, TableFile] = {}

    def latency(self, spec: ArchSpec) -> Latency:
        """Return the scaled sum of the pieces; for the reference, its measured latency.

        Raises:
            MeasurementError: The device rejects a piece, or is lost.
        """
        if self.reference is not None:
            if self._measured is None:
                self.calibrate(self.reference, self.confirm(self.reference))
            if spec == self.reference and self._measured is not None:
                return self._measured
        scale = self._scale or self._first_scale(spec)
        return Latency.exactly(self._sum(spec) * scale, self.device)

    def with_anchor(self, reference: ArchSpec) -> LazyTable:
        """Return a source of the same pieces, calibrated to another reference."""
        return LazyTable(self.source, self.folder, reference)

    def confirm(self, spec: ArchSpec) -> Latency:
        """Measure a whole network.

        Raises:
            MeasurementError: The device rejects it, or is lost.
        """
        return self._whole.latency(spec)

    def calibrate(self, spec: ArchSpec, whole: Latency) -> None:
        """Scale sums so that this network's sum equals its measured latency."""
        self._scale = whole.median_ms / self._sum(spec)
        if spec == self.reference:
            self._measured = whole

    def _first_scale(self, spec: ArchSpec) -> float:
        """Return the scale of the first network ever measured."""
        table = self._table(spec.resolution)
        if not table.scales:
            table.add_scale(self.confirm(spec).median_ms / self._sum(spec))
        return table.scales[0]

    def _table(self, px: int) -> TableFile:
        if px not in self._tables:
            self.folder.mkdir(parents=True, exist_ok=True)
            path = self.folder / f"{self.source.device.fingerprint}-{px}.jsonl"
            header = new_header(self.source, space=SPACE, resolution=px, units=UNITS)
            self._tables[px] = TableFile(path, header)
        return self._tables[px]

    def _sum(self, spec: ArchSpec) -> float:
        table = self._table(spec.resolution)
        parts = list(pieces(spec))
        missing = list({p.key: p for p in parts if p.key not in table.entries}.values())
        for batch in _batches(missing):
            timed = differences(self._quick, batch)
            for piece, difference in zip(batch, timed, strict=True):
                table.add(piece.key, difference.over_anchor)
        total = sum(table.entries[piece.key] for piece in parts)
        if total <= 0:
            raise MeasurementError(
                f"{self.device.name}: the network is too fast to be measured by pieces"
            )
        return total


def _batches(missing: list[Piece]) -> Iterator[list[Piece]]:
    for start in range(0, len(missing), BATCH):
        yield missing[start : start + BATCH]
