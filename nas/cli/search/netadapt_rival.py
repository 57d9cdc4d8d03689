"""NetAdapt's network from the parent, as a rival of a search."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from latency import Cached, LatencySource, Measured, Paced
from latency.estimates.lazy_table import LazyTable
from latency.measuring.anchor import ANCHOR
from nas.adapting.config import AdaptConfig
from nas.adapting.job import AdaptJob
from nas.adapting.watching import AdaptWatcher
from nas.engine.memoized_source import MemoizedSource
from nas.engine.schedule_config import ScheduleConfig
from nas.run_adapt import adapt
from nas.searching.planning.from_parent import NETADAPT_DELTA, NETADAPT_STEPS
from nas.tasks import task_of
from nas.training.named_recipes import read_recipe
from nas.training.teacher_config import TeacherConfig
from netadapt.shrink import Shrink

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nas.checkpoints.checkpoint import Checkpoint
    from nas.data.images import Dataset
    from search_spaces import ArchSpec


BELOW = 0.01
"""How far below the search's target NetAdapt's is: it counts as reached up to 1% above."""


@dataclass(frozen=True)
class NetAdaptRival:
    """Narrows the tuned parent to the target by NetAdapt, in a folder of its own within the run's.

    Attributes:
        source: The device.
        schedule: Where proposals train.
        seed: Random seed.
    """

    source: LatencySource
    schedule: ScheduleConfig
    seed: int

    def __call__(
        self,
        parent: Checkpoint,
        data: Dataset,
        target_ms: float,
        folder: Path,
        notify: Callable[[str], None],
    ) -> Checkpoint:
        """Narrow the parent; an interrupted run is resumed. See `SearchedParent.narrow`."""
        from nas.checkpoints.checkpoint import load_checkpoint  # imports torch

        usual = task_of(data.task).usual
        weight = usual.teacher_weight
        config = AdaptConfig(
            target_ms=target_ms * (1 - BELOW),
            delta=NETADAPT_DELTA,
            keep="taylor",
            recipe=read_recipe(usual.recipe, {"steps": NETADAPT_STEPS}),
            final="none",
            teacher=TeacherConfig(path="seed", weight=weight) if weight else None,
            teach_proposals=weight > 0,
            schedule=self.schedule,
            seed=self.seed,
        )
        asked = proposals_source(self.source, parent.spec)
        adapt(
            parent, data=data, latency=asked, config=config, folder=folder, watcher=_Steps(notify)
        )
        return load_checkpoint(folder / "adapted.pt")


def proposals_source(source: LatencySource, parent: ArchSpec) -> MemoizedSource:
    """Return the source that NetAdapt asks, in the place of a search's own.

    A device that measures is asked for the pieces of proposals, and for whole networks only once they are
    chosen; these are read anew, which a cache would not do. Readings are of the search's pace.

    Args:
        source: The device of the search.
        parent: The network that is narrowed.
    """
    inner = source.source if isinstance(source, Cached | Paced) else source
    if not isinstance(inner, Measured):
        return MemoizedSource(inner)
    pace_ms = source.anchor_ms if isinstance(source, Paced) else None
    # The table's entries are relative to the usual anchor, in whichever run they are taken.
    return MemoizedSource(LazyTable(inner.with_anchor(ANCHOR), reference=parent), pace_ms=pace_ms)


class _Steps(AdaptWatcher):
    """Reports each step."""

    def __init__(self, notify: Callable[[str], None]) -> None:
        self._notify = notify

    def tuning(self, shrink: Shrink, jobs: Sequence[AdaptJob], *, finishing: bool) -> None:  # noqa: ARG002
        now = f"{shrink.current.latency_ms:.3g} ms, target {shrink.target_ms:.3g} ms"
        self._notify(
            f"narrowing the parent by NetAdapt: step {shrink.steps + 1}, {len(jobs)} proposals, {now}"
        )
