"""Progress of a search: a live panel, or one line per trial."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from statistics import fmean

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from nas.engine.job import RIVAL, RIVAL_RUNG, RIVAL_TRIAL, RIVALS, Job, Kind
from nas.engine.trial import Trial
from nas.engine.watching import Silent
from nas.formatting import ACCURACY, counted, duration, figure, in_short
from nas.searching.config import SearchConfig
from nas.searching.fidelity import full_lengths
from nas.searching.sizes import Sizes
from nas.searching.teacher_cost import Slowdown, no_teacher
from search_spaces import count

MISJUDGED = 0.25
"""Print the number of trials that fit the budget if it differs from the plan by this fraction."""

NAMES = {
    "search": "trial",
    "rung": "shorter training of trial",
    "final": "finalist",
    "repeat": "repeat of",
    RIVAL: "rival",
    RIVAL_TRIAL: "trial of rival",
    RIVAL_RUNG: "shorter training of rival",
}


def trial_line(trial: Trial, sizes: Sizes, metric: str = ACCURACY) -> str:
    """Format a finished trial in one line.

    Args:
        trial: The trial.
        sizes: Image sizes of the search.
        metric: Name of the metric that its accuracy is.
    """
    name = NAMES[trial.kind]
    if trial.accuracy is None:
        return f"{name} {trial.index} failed: {trial.error}"
    figures = sizes.describe(
        figure(trial.accuracy, metric), in_short(trial.latencies), accuracy_px=trial.px
    )
    return f"{name} {trial.index}: {figures}, reward {trial.reward:.3f}"


class LiveView(Silent):
    """A live panel on a terminal; elsewhere one line per trial.

    After the first batch, the time left follows from the work done since this process started: a trial
    counts 1, a finalist its factor (more with a teacher), a shorter training its fraction. Until then it is
    the plan's estimate.
    With a time budget it is the rest of the budget until the finals start, as the number of trials is open.

    Args:
        console: Console to show the view on.
        config: The search's settings.
        expected_s: The plan's estimate for the whole search.
        budget_left_s: Seconds left of the time budget; None without one.
        foretold: Whether `config.trials` is the number of trials expected to fit the budget.
        slowdown: How much longer finalists train because of a teacher.
        metric: Name of the metric that accuracies are.
    """

    def __init__(
        self,
        console: Console,
        config: SearchConfig,
        *,
        expected_s: float | None = None,
        budget_left_s: float | None = None,
        foretold: bool = True,
        slowdown: Slowdown = no_teacher,
        metric: str = ACCURACY,
    ) -> None:
        self.metric = metric
        self.console, self.config, self.expected_s = console, config, expected_s
        self.ends = None if budget_left_s is None else time.monotonic() + budget_left_s
        self.slowdown, self.sizes = slowdown, config.sizes
        self.search = full_lengths(config.fidelity, config.trials, batch_size=config.batch_size)
        self.madds: list[int] = []
        self.before = 0.0
        self.ending: float | None = None
        self.trials, self.calibrated, self.foretold = config.trials, False, foretold
        self.tried = 0
        self.done = self.fresh = 0.0
        self.began: float | None = None
        self.failed = 0
        self.best: Trial | None = None
        self.last: Trial | None = None
        self.doing = "starting the workers"
        self.prepared: tuple[str, float] = ("", 0.0)

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show the view until the block ends."""
        if not self.console.is_terminal:
            yield
            return
        with Live(get_renderable=self.render, console=self.console, refresh_per_second=4):
            yield

    def measuring(self, done: int, total: int) -> None:
        """See `Watcher`."""
        self.began = self.began or time.monotonic()
        what = "network" if len(self.config.targets) == 1 else "reading"
        self.doing = (
            f"measuring latency: {what} {min(done + 1, total)} of {total} (training is paused)"
        )

    def preparing(self, what: str) -> None:
        """See `nas.engine.watching.KnowsPreparation`; without a terminal a line every half minute."""
        self.doing = what
        now = time.monotonic()
        kind = what.partition(":")[0]
        if self.console.is_terminal or (kind == self.prepared[0] and now - self.prepared[1] < 30):
            return
        self.prepared = (kind, now)
        self.console.print(what, highlight=False)

    def training(self, jobs: Sequence[Job]) -> None:
        """See `Watcher`."""
        self.began = self.began or time.monotonic()
        if jobs[0].kind == "rung":
            self.doing = f"training a batch of {len(jobs)} for a fraction of the steps"
        elif jobs[0].kind == "search":
            self.doing = f"training a batch of {len(jobs)}"
        elif jobs[0].kind in RIVALS:
            self.before = sum(self._work(job.kind, count(job.spec).madds) for job in jobs)
            self._say("training the rivals, as long as finalists will")
        else:
            # Fewer than planned if the search ended early; any number with a time budget.
            work = sum(self._work(job.kind, count(job.spec).madds) for job in jobs)
            self.ending, self.ends = self.done + work, None
            self._say("training the finalists longer, and repeating trials to measure the noise")

    def _line(self, trial: Trial) -> str:
        return trial_line(trial, self.sizes, self.metric)

    def _say(self, doing: str) -> None:
        """Show what is done now; without a terminal, as a line."""
        self.doing = doing
        if not self.console.is_terminal:
            self.console.print(doing, highlight=False)

    def finished(self, trial: Trial, *, replayed: bool) -> None:
        """See `Watcher`."""
        work = self._work(trial.kind, trial.madds)
        self.madds.append(trial.madds)
        self.done += work
        self.tried += trial.kind == ("rung" if self.config.fidelity else "search")
        self.fresh += 0.0 if replayed else work
        self.failed += not trial.ok
        self.last = trial
        if trial.kind == "search" and trial.ok:
            self.best = max(self.best or trial, trial, key=lambda t: t.reward)
        if not (replayed or self.console.is_terminal):
            left = self.left_s()
            ends = f", {duration(left)} left" if left is not None else ""
            self.console.print(self._line(trial) + ends, highlight=False)

    def fitting(self, trials: int) -> None:
        """Expect as many trials as fit the time budget; see `nas.engine.watching.KnowsBudget`.

        The plan's number comes from a few training steps, so the first one from real trials is printed if
        it differs.
        """
        planned, self.trials = self.trials, trials
        config = self.config
        self.search = full_lengths(config.fidelity, trials, batch_size=config.batch_size)
        if self.foretold and not self.calibrated and abs(trials - planned) > MISJUDGED * planned:
            when = "first batch done" if self.tried <= config.batch_size else "resumed"
            fit = f"{counted(trials, 'trial')} now {'fits' if trials == 1 else 'fit'} the budget"
            were = "was" if planned == 1 else "were"
            self.console.print(f"{when}: {fit}, {planned} {were} planned", highlight=False)
        self.calibrated = True

    @property
    def total(self) -> float:
        """Work of the whole search; a trial counts 1."""
        if self.ending is not None:
            return self.ending
        finals = self.config.finals
        typical = round(fmean(self.madds)) if self.madds else None
        curve = self.config.parent.curve if self.config.parent is not None else 0
        finalists = (finals.count + curve) * self._work("final", typical)
        return self.before + self.search + finalists + finals.repeats

    def _work(self, kind: Kind, madds: int | None) -> float:
        """Return the work of a training; a trial counts 1."""
        if kind in ("rung", RIVAL_RUNG) and self.config.fidelity is not None:
            return self.config.fidelity.first
        if kind not in ("final", RIVAL):
            return 1.0
        slower = 1.0 if madds is None else self.slowdown(madds)
        return self.config.finals.work(self.sizes) * slower

    def left_s(self) -> float | None:
        """Return the seconds left, or None while unknown."""
        if self.began is None:
            return None
        if self.ends is not None:
            return max(0.0, self.ends - time.monotonic())
        elapsed, work = time.monotonic() - self.began, max(0.0, self.total - self.done)
        if self.fresh >= self.config.batch_size:
            return elapsed / self.fresh * work
        # The first trials mislead: their time includes measuring the batch, and others train in parallel.
        return None if self.expected_s is None else max(0.0, self.expected_s - elapsed)

    def render(self) -> RenderableType:
        """Draw the panel."""
        left = self.left_s()
        elapsed = time.monotonic() - self.began if self.began else 0.0
        grid = Table.grid(padding=(0, 2))
        grid.add_row("now", self.doing)
        grid.add_row(
            "time", f"{duration(elapsed)}, " + ("…" if left is None else duration(left)) + " left"
        )
        if self.calibrated:
            grid.add_row("trials", f"{self.tried} of about {self.trials} that fit the budget")
        grid.add_row("best so far", self._line(self.best) if self.best else "…")
        grid.add_row("last", self._line(self.last) if self.last else "…")
        if self.failed:
            grid.add_row("failures", Text(str(self.failed), style="red"))
        bar = Table.grid()  # a progress bar alone does not end its line
        if self.ends is None or left is None:
            bar.add_row(ProgressBar(total=self.total, completed=self.done, width=60))
        else:
            bar.add_row(ProgressBar(total=elapsed + left, completed=elapsed, width=60))
        return Group(bar, grid)
