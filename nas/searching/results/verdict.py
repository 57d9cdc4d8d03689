"""The verdict of a search from a parent: is its best finalist better than its best rival?

Both answer the same test photos, so their difference is paired: see `nas.tasks.intervals.Difference`.
"""

from __future__ import annotations

from typing import ClassVar

from nas.engine.folder.records import Record
from nas.formatting import ACCURACY, figure

RIVAL_FILE, FINALIST_FILE = "rival.pt", "finalist.pt"
"""Checkpoint of the best rival, or of the best finalist if the rival has won."""


class Score(Record):
    """A network's figures in the comparison.

    Attributes:
        name: What it is called.
        accuracy: On the test images, 0..1.
        latencies_ms: On each device.
        px: Side of its input.
    """

    name: str
    accuracy: float
    latencies_ms: tuple[float, ...]
    px: int

    def said(self, metric: str) -> str:
        """Return it in words."""
        times = " and ".join(f"{ms:.3g}" for ms in self.latencies_ms)
        return f"{self.name} has {figure(self.accuracy, metric)} at {times} ms ({self.px} px)"


class Verdict(Record):
    """How the best finalist compares with the best rival, on the test images.

    Attributes:
        finalist: The best finalist; by the held-out images, as the rival.
        rival: The best rival.
        points: The finalist's advantage in percentage points.
        low: Lower end of its 95% interval, from the test images alone: each network trained once.
        high: Upper end.
        images: Number of test images.
        ships: What was exported: `finalist` or `rival`, whichever has the higher held-out accuracy.
        metric: Name of the metric; None for accuracy.
    """

    omitted: ClassVar[frozenset[str]] = frozenset({"metric"})

    finalist: Score
    rival: Score
    points: float
    low: float
    high: float
    images: int
    ships: str
    metric: str | None = None

    def sentences(self) -> list[str]:
        """Return the verdict as text, and what to ship."""
        if self.low > 0:
            so = "The search found a better network than its best rival"
        elif self.high < 0:
            so = "The search found nothing as good as its best rival"
        else:
            so = "The search found no network that is better than its best rival beyond chance"
        metric = self.metric or ACCURACY
        of = "" if metric == ACCURACY else f" of {metric}"
        figures = (
            f"{so}: {self.points:+.1f} points{of} (95% interval {self.low:+.1f} to {self.high:+.1f}) on "
            f"{self.images:,} test images; {self.finalist.said(metric)}, {self.rival.said(metric)}, each "
            "trained once."
        )
        return [figures, self._advice()]

    def _advice(self) -> str:
        """Say what seed.pt is, and when to prefer the other network."""
        chosen, other, file = self.finalist, self.rival, RIVAL_FILE
        if self.ships == "rival":
            chosen, other, file = self.rival, self.finalist, FINALIST_FILE
        better = "the more accurate one" if self.metric is None else f"of higher {self.metric}"
        advice = f"seed.pt is {chosen.name}, {better} on the held-out images; {file} is "
        surprised = self.low > 0 if self.ships == "rival" else self.high < 0
        if surprised:
            return f"{advice}{other.name}, which the test images favor: prefer it."
        return f"{advice}{other.name}."
