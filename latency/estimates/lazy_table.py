"""A device by pieces: each is timed when a network first has it, and a network's latency is their sum.

What NetAdapt needs: a step asks about a hundred networks that have all but a few of their pieces in common,
and wants to know differences of a few percent. Timing the few new pieces takes a fraction of the time of
whole networks, and what disturbs it counts for a few pieces only.
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
"""In place of a space's name in the header of the file."""

UNITS = "anchor"
"""Of the file's figures: parts of the anchor network's latency, which stay true where the pace drifts."""


class OnDemand:
    """A latency source that adds up pieces of a measuring source, timed when they are first needed.

    The sum over a network is in units of the anchor; what that is in milliseconds a whole network tells,
    the first that was ever asked about or the one that `calibrate` was given last.

    Args:
        source: Measures.
        folder: Where the pieces are kept, a file a resolution; the user's cache by default.
        reference: What whole networks are measured beside. The sums are calibrated to it at first.
    """

    def __init__(
        self, source: Measured, folder: Path | None = None, reference: ArchSpec | None = None
    ) -> None:
        self.source, self.folder = source, folder or cache_folder() / "pieces"
        self.reference = reference
        self._whole = source if reference is None else source.beside(reference)
        self._scale: float | None = None
        self._measured: Latency | None = None  # of the reference
        name = f"{source.device.name}, by pieces"
        fingerprint = f"pieces-{source.device.fingerprint}"
        self.device = Device(name, fingerprint, estimate=True, local=source.device.local)
        self._tables: dict[int, TableFile] = {}

    def latency(self, spec: ArchSpec) -> Latency:
        """The sum of the network's pieces, scaled to milliseconds; of the reference what was measured.

        Raises:
            MeasurementError: The device refuses a piece, or has gone.
        """
        if self.reference is not None:
            if self._measured is None:
                self.calibrate(self.reference, self.confirm(self.reference))
            if spec == self.reference and self._measured is not None:
                return self._measured
        scale = self._scale or self._kept_scale(spec)
        return Latency.exactly(self._sum(spec) * scale, self.device)

    def beside(self, reference: ArchSpec) -> OnDemand:
        """The same pieces, calibrated to one network, which whole ones are measured beside."""
        return OnDemand(self.source, self.folder, reference)

    def confirm(self, spec: ArchSpec) -> Latency:
        """Measure a whole network.

        Raises:
            MeasurementError: The device refuses it, or has gone.
        """
        return self._whole.latency(spec)

    def calibrate(self, spec: ArchSpec, whole: Latency) -> None:
        """From now on the sums are in the proportion of this network's sum to its measured latency."""
        self._scale = whole.median_ms / self._sum(spec)
        if spec == self.reference:
            self._measured = whole

    def _kept_scale(self, spec: ArchSpec) -> float:
        """What the file says of the first network that was ever asked about."""
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
            timed = differences(self.source.timed(PIECE_TIMING), batch)
            for piece, difference in zip(batch, timed, strict=True):
                table.add(piece.key, difference.over_anchor)
        total = sum(table.entries[piece.key] for piece in parts)
        if total <= 0:
            raise MeasurementError(
                f"{self.device.name}: the network takes no time that can be told"
            )
        return total


def _batches(missing: list[Piece]) -> Iterator[list[Piece]]:
    for start in range(0, len(missing), BATCH):
        yield missing[start : start + BATCH]
