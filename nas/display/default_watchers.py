"""Default watchers of `search` and `adapt`.

In a terminal or a notebook, show the commands' own view. Elsewhere, log one line per batch (NetAdapt: per
step) at level INFO: a program that imports this package decides what to print.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from controllers import Controller
from nas.adapting.forecast import Workload
from nas.adapting.watching import AdaptWatcher
from nas.display.adapt_view import View
from nas.display.output import messages
from nas.display.search_view import LiveView
from nas.engine.job import RIVALS
from nas.engine.memoized_source import MemoizedSource
from nas.engine.trial import Trial
from nas.engine.watching import Silent, Watcher
from nas.formatting import counted, figure, in_short, percent, three_digits
from nas.searching.config import SearchConfig
from nas.searching.sizes import Sizes
from nas.searching.teacher_cost import Slowdown
from netadapt.shrink import Shrink

_log = logging.getLogger(__name__)


def interactive() -> bool:
    """Whether progress can be seen: standard error is a terminal, or this is a notebook."""
    return bool(sys.stderr and sys.stderr.isatty()) or in_notebook()


def in_notebook() -> bool:
    """Whether this process is a notebook's kernel."""
    ipython = sys.modules.get("IPython")  # loaded by any kernel
    shell = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "kernel", None) is not None


class LoggedSearch(Silent):
    """Logs one line per batch.

    Args:
        sizes: Image sizes of the search.
        metric: Name of the metric that accuracies are.
    """

    def __init__(self, sizes: Sizes, metric: str) -> None:
        self._sizes, self._metric = sizes, metric
        self._trials = self._failed = 0
        self._best: Trial | None = None
        self._replayed = True
        self._fitting: int | None = None

    def finished(self, trial: Trial, *, replayed: bool) -> None:
        """See `Watcher`."""
        self._replayed = replayed
        if trial.kind in RIVALS or trial.kind in ("final", "repeat"):
            return
        self._trials += trial.kind == "search"
        self._failed += not trial.ok
        if trial.kind == "search" and trial.ok:
            self._best = max(self._best or trial, trial, key=lambda t: t.reward)

    def told(self, batch: int, controller: Controller) -> None:  # noqa: ARG002
        """See `Watcher`."""
        if self._replayed:
            return
        failed = f", {self._failed} failed" if self._failed else ""
        best = "none succeeded yet"
        if self._best is not None and self._best.accuracy is not None:
            figures = self._sizes.describe(
                figure(self._best.accuracy, self._metric),
                in_short(self._best.latencies),
                accuracy_px=self._best.px,
            )
            best = f"best so far trial {self._best.index}: {figures}"
        done = counted(self._trials, "trial")
        if self._fitting is not None:
            done = f"{self._trials} of about {counted(self._fitting, 'trial')}"
        _log.info("batch %d: %s done%s, %s", batch + 1, done, failed, best)

    def fitting(self, trials: int) -> None:
        """See `KnowsBudget`."""
        self._fitting = trials


class LoggedAdapt(AdaptWatcher):
    """Logs one line per step."""

    def chosen(self, shrink: Shrink, trial: Trial) -> None:  # noqa: ARG002
        """See `AdaptWatcher`."""
        now = shrink.current
        _log.info(
            "step %d: %s at %s ms (%d px), target %s ms",
            shrink.steps,
            percent(now.accuracy),
            three_digits(now.latency_ms),
            now.spec.resolution,
            three_digits(shrink.target_ms),
        )


@contextmanager
def search_watcher(
    watcher: Watcher | None,
    config: SearchConfig,
    *,
    budget_left_s: float | None,
    slowdown: Slowdown,
    metric: str,
) -> Iterator[Watcher]:
    """Yield the caller's watcher, or run the default one.

    Args:
        watcher: The caller's watcher; None takes the default.
        config: The search's settings, as far as a view needs them.
        budget_left_s: Seconds left of the time budget; None without one.
        slowdown: How much longer finalists train because of a teacher.
        metric: Name of the metric that accuracies are.
    """
    if watcher is not None:
        yield watcher
    elif not interactive():
        yield LoggedSearch(config.sizes, metric)
    else:
        view = LiveView(
            messages(),
            config,
            budget_left_s=budget_left_s,
            foretold=False,
            slowdown=slowdown,
            metric=metric,
        )
        with view.shown():
            yield view


@contextmanager
def adapt_watcher(
    watcher: AdaptWatcher | Silent | None,
    workload: Workload,
    latency: MemoizedSource,
) -> Iterator[AdaptWatcher]:
    """Yield the caller's watcher of a NetAdapt run, or run the default one.

    Args:
        watcher: The caller's watcher; a search's `Silent` also works.
        workload: The run's training.
        latency: The latency source, which reports each network measured.
    """
    if watcher is not None:
        yield AdaptWatcher() if isinstance(watcher, Silent) else watcher
    elif not interactive():
        yield LoggedAdapt()
    else:
        schedule = workload.config.schedule
        at_once = None if schedule.ray_address else schedule.at_once
        view = View(messages(), workload, None, workers=at_once)
        latency.progress = view.asked
        try:
            yield view
        finally:
            view.rest()
