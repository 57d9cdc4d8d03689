"""A search with its inputs opened, and how it runs with a live view."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from controllers import Controller, make_controller
from latency import LatencySource
from nas.checkpoints.known_classes import fits_classes
from nas.cli.examining import examine
from nas.display.search_view import LiveView
from nas.engine.folder.run_folder import RunFolder
from nas.engine.folder.run_teacher import RunTeacher
from nas.engine.watching import Several, TensorBoard
from nas.report.search.report import write_report
from nas.run_search import search
from nas.searching.config import SearchConfig
from nas.searching.from_parent.searched_parent import Narrow, SearchedParent
from nas.searching.from_parent.set_aside import fold_size
from nas.searching.latency_warmup import can_be_guided
from nas.searching.planning.forecast import Cost
from nas.searching.results.search_result import SearchResult
from nas.searching.run_policy import RunPolicy
from nas.searching.teacher_cost import slowed_by
from nas.searching.time_budget import Spent, WallTime
from nas.tasks import task_of
from search_spaces import ElasticSpace, FactorizedSpace

if TYPE_CHECKING:
    from nas.checkpoints.checkpoint import Checkpoint
    from nas.data.images import Dataset
    from nas.data.source import ImageSource

KEPT_PARENTS = "parents"
"""Folder beside the runs, of parents that were fine-tuned on a run's classes."""


@dataclass(frozen=True)
class Job:
    """A search, with its inputs opened.

    Attributes:
        pictures: The images, which can be read at any resolution.
        data: Those at the proxy resolution.
        final_data: The same images at the deployed size.
        warm_start: Networks that trials are initialized from.
        weights_from: The network outside of the space whose weights trials begin with, if any.
        parent: The network whose sub-networks are searched, if any.
        rivals: Networks to compare its finalists with, by name.
        images: The same images at each size, if resolution is searched.
        teacher: The network that finalists learn from, if any.
        policy: The policy that the controller begins with, if any.
        copies: Contents of the files named in the settings; the run keeps them under these names.
        cost: Expected cost; None if unknown.
        began_s: `time.monotonic` when the command started; a time budget counts from there.
    """

    config: SearchConfig
    space: FactorizedSpace | ElasticSpace
    sources: tuple[LatencySource, ...]
    pictures: ImageSource
    data: Dataset
    final_data: Dataset
    console: Console
    warm_start: tuple[Checkpoint, ...] = ()
    weights_from: Checkpoint | None = None
    parent: Checkpoint | None = None
    rivals: Mapping[str, Checkpoint] = field(default_factory=dict)
    images: Mapping[int, Dataset] = field(default_factory=dict)
    teacher: RunTeacher | None = None
    policy: RunPolicy | None = None
    copies: dict[str, bytes] = field(default_factory=dict)
    cost: Cost | None = None
    began_s: float = field(default_factory=time.monotonic)

    @property
    def wall_time(self) -> WallTime | None:
        """The time budget; None if the search has a number of trials instead."""
        if self.config.budget_s is None:
            return None
        expected = None if self.cost is None else (self.cost.trial_s, self.cost.finals_s)
        return WallTime(self.config.budget_s, expected, self.spent_s)

    @property
    def ranking_images(self) -> int:
        """Number of images that trials are ranked on."""
        held_out = len(self.data.val)
        if (
            self.parent is None
            or self.config.parent is None
            or fits_classes(self.parent, self.data)
        ):
            return held_out
        own = self.config.parent
        batch_size = max(self.config.recipe.batch_size, own.recipe.batch_size)
        return held_out + fold_size(
            self.data, own.ranking_images, batch_size=batch_size, seed=self.config.seed
        )

    def has_tuned_parent(self, runs: Path) -> bool:
        """Return whether an earlier run has fine-tuned the parent on these images.

        Then it has also fine-tuned the parent of trials, unless it ranked these on other images.
        """
        from nas.searching.from_parent.tuning import tuning_key  # imports torch

        if self.parent is None or self.config.parent is None:
            return False
        recipe, seed = self.config.parent.recipe, self.config.seed
        key = tuning_key(self.parent, self.data, recipe, seed=seed)
        return (runs / KEPT_PARENTS / f"{key}.pt").is_file()

    @property
    def is_guided(self) -> bool:
        """Whether the controller uses latency guesses before anything is trained."""
        wanted = self.config.latency_warmup is not None
        return wanted and can_be_guided(open_controller(self.config, self.space.arities))

    @property
    def metric(self) -> str:
        """Name of the metric that accuracies are."""
        return task_of(self.data.task).metric.name

    @property
    def spent_s(self) -> float:
        """Seconds since the command started."""
        return time.monotonic() - self.began_s

    def run(self, folder: RunFolder) -> SearchResult:
        """Run the search with a live view, and evaluate its network for the report."""
        with folder.locked():
            result = self._search(folder)
            data = self.images.get(result.px, self.final_data)
            if examine(folder, "seed.pt", self.pictures, data, self.console):
                write_report(folder)
        return result

    def _search(self, folder: RunFolder) -> SearchResult:
        config = self.config
        assert len(config.targets_ms) == len(self.sources)
        controller = open_controller(config, self.space.arities)
        expected_s = None if self.cost is None else self.cost.total_s
        budget_left_s = None
        if config.budget_s is not None:
            budget_left_s = config.budget_s - self.spent_s - Spent.kept(folder / "spent.json").total
        view = LiveView(
            self.console,
            config,
            expected_s=expected_s,
            budget_left_s=budget_left_s,
            slowdown=slowed_by(self.teacher, config.finals, config.sizes),
            metric=self.metric,
        )
        with view.shown():
            board = TensorBoard(folder / "tensorboard")
            try:
                return search(
                    self.space,
                    controller=controller,
                    latency=self.sources,
                    data=self.data,
                    final_data=self.images or self.final_data,
                    target_ms=config.targets_ms,
                    folder=folder.path,
                    recipe=config.recipe,
                    reward=config.reward,
                    trials=config.trials if config.budget_s is None else None,
                    wall_time=self.wall_time,
                    batch_size=config.batch_size,
                    finals=config.finals,
                    schedule=config.schedule,
                    warm_start=self.warm_start,
                    weights_from=self.weights_from,
                    policy=self.policy,
                    latency_warmup=config.latency_warmup.laws if config.latency_warmup else (),
                    fidelity=config.fidelity,
                    teacher=config.teacher,
                    parent=self.searched_parent(folder),
                    seed=config.seed,
                    watcher=Several(view, board),
                )
            finally:
                board.close()

    def searched_parent(self, folder: RunFolder) -> SearchedParent | None:
        """Return how the search of a folder uses its parent; None from scratch."""
        if self.parent is None:
            return None
        assert self.config.parent is not None
        return SearchedParent(
            self.parent,
            recipe=self.config.parent.recipe,
            ranking_images=self.config.parent.ranking_images,
            temperature=self.config.parent.temperature,
            teacher_weight=self.config.parent.teacher_weight,
            kept=folder.path.parent / KEPT_PARENTS,
            rivals=self.rivals,
            narrow=self._narrow(),
            curve=self.config.parent.curve,
        )

    def _narrow(self) -> Narrow | None:
        """Return what makes NetAdapt's network, if the settings ask for it."""
        config = self.config
        if config.parent is None or not config.parent.with_netadapt:
            return None
        from nas.cli.search.netadapt_rival import NetAdaptRival  # a tenth of a second

        return NetAdaptRival(self.sources[0], config.schedule, config.seed)


def open_controller(config: SearchConfig, arities: Sequence[int]) -> Controller:
    """Return a search's controller, new.

    Args:
        config: The search's settings.
        arities: The space's.

    Raises:
        InputError: It is unknown, or an option is invalid.
    """
    chosen = config.controller

    def fresh() -> Controller:
        return make_controller(chosen.name, arities, seed=config.seed, options=chosen.options)

    fresh().ask(config.batch_size)  # bad options fail here, before anything is measured
    return fresh()
