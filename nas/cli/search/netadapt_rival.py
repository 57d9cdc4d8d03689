"""NetAdapt's network from the parent, as a rival of a search."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from latency import Cached, LatencySource, Paced
from nas.adapting.config import AdaptConfig
from nas.adapting.job import AdaptJob
from nas.adapting.watching import AdaptWatcher
from nas.engine.memoized_source import MemoizedSource
from nas.engine.schedule_config import ScheduleConfig
from nas.run_adapt import adapt
from nas.searching.planning.from_parent import NETADAPT_DELTA, NETADAPT_STEPS
from nas.training.named_recipes import read_recipe
from nas.training.teacher_config import TeacherConfig
from netadapt.shrink import Shrink

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nas.checkpoints.checkpoint import Checkpoint
    from nas.data.images import Dataset


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

        config = AdaptConfig(
            target_ms=target_ms * (1 - BELOW),
            delta=NETADAPT_DELTA,
            keep="taylor",
            recipe=read_recipe("finetune", {"steps": NETADAPT_STEPS}),
            final="none",
            teacher=TeacherConfig(path="seed"),
            teach_proposals=True,
            schedule=self.schedule,
            seed=self.seed,
        )
        # NetAdapt confirms a network's latency by new readings, which a cache would not take.
        source, watcher = MemoizedSource(_uncached(self.source)), _Steps(notify)
        adapt(parent, data=data, latency=source, config=config, folder=folder, watcher=watcher)
        return load_checkpoint(folder / "adapted.pt")


def _uncached(source: LatencySource) -> LatencySource:
    """Return a source that measures each time that it is asked."""
    if isinstance(source, Paced):
        return source.uncached
    return source.source if isinstance(source, Cached) else source


class _Steps(AdaptWatcher):
    """Reports each step."""

    def __init__(self, notify: Callable[[str], None]) -> None:
        self._notify = notify

    def tuning(self, shrink: Shrink, jobs: Sequence[AdaptJob], *, finishing: bool) -> None:  # noqa: ARG002
        now = f"{shrink.current.latency_ms:.3g} ms, target {shrink.target_ms:.3g} ms"
        self._notify(
            f"narrowing the parent by NetAdapt: step {shrink.steps + 1}, {len(jobs)} proposals, {now}"
        )
