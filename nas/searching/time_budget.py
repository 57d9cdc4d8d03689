"""A time budget for a search, in place of a number of trials.

Time is summed over all processes that worked on a run. The size of a batch depends on the clock, so it is
saved before the batch starts and read back on resume. Only the number of trials depends on the clock.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Self

from nas.atomic_files import read_json, write_whole
from nas.engine.job import RIVALS, SHORTEST_S, Job
from nas.engine.trial import Trial
from nas.engine.watching import Silent
from search_spaces import InputError

RESERVE = 0.02
"""Fraction of the budget reserved for work after the last training: test images, files, report."""

MOST_IDLE = 5
"""Number of consecutive batches without a new network after which the search ends."""

FINALS = RIVALS | {"final", "repeat"}
"""Kinds of training before and after the search: the time of those to come is reserved."""

KEPT_EVERY_S = 10.0
"""Save interval, and so the maximum time that a `kill -9` leaves unaccounted."""

TrainingTimes = tuple[Sequence[float], Sequence[float]]
"""Training seconds of the trials that would be finalists, and of those that would be repeated."""


@dataclass
class Spent:
    """Time spent by a run so far, in seconds.

    Attributes:
        total: Wall time.
        search: Wall time of all batches, up to the latest trial that finished.
        measured: The part of that in which networks were measured, and nothing trained.
        trained: Training time of these trials, summed over parallel ones.
        trials: Number of these trials, without duplicates. With multi-fidelity a fraction: the number of
            candidates equivalent to the trainings.
        idle: Number of latest consecutive batches in which nothing was trained; counted anew on resume.
        sizes: Sizes of the batches started; a final 0 means that the search has ended.
        expected: Expected seconds of a trial and of all finals, from before the first trial finished.
    """

    total: float = 0.0
    search: float = 0.0
    measured: float = 0.0
    trained: float = 0.0
    trials: float = 0
    idle: int = 0
    sizes: tuple[int, ...] = ()
    expected: tuple[float, float] | None = None

    @classmethod
    def kept(cls, path: Path) -> Self:
        """Read the file; if there is none, nothing has been spent."""
        if not path.is_file():
            return cls()
        kept = read_json(path)
        expected = kept.get("expected")
        return cls(
            **{**kept, "sizes": tuple(kept["sizes"]), "expected": expected and tuple(expected)}
        )


@dataclass(frozen=True)
class WallTime:
    """Time limit of a search.

    Attributes:
        seconds: Limit for the whole run, including setup and finals.
        expected_s: Expected wall time of a trial and of all finals; None makes the first batch full size. A
            resumed run keeps its own.
        used_s: Seconds spent before the search was called.
    """

    seconds: float
    expected_s: tuple[float, float] | None = None
    used_s: float = 0.0


class TimeBudget(Silent):
    """Chooses the size of the next batch from the times of earlier trials.

    Attributes:
        room: Number of further trials that fitted when the latest batch was chosen, by the times of those
            trained; None before any has.

    Args:
        given: Time limit of the search.
        path: File for the time spent.
        final_factor: Length of a finalist's training, in trials.
        worth: Number of candidates equivalent to some trainings; see `nas.searching.fidelity`.
        clock: Returns the time in seconds.
    """

    def __init__(
        self,
        given: WallTime,
        path: Path,
        *,
        final_factor: float,
        worth: Callable[[Sequence[Trial]], float] = len,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.given, self.path, self.clock = given, path, clock
        self.final_factor, self.worth = final_factor, worth
        self._batch: list[Trial] = []  # finished or replayed since the latest batch was chosen
        kept = Spent.kept(path)
        self._kept = replace(kept, idle=0, expected=kept.expected or given.expected_s)
        self._asked = 0
        self.room: int | None = None
        self._before_s = self._kept.total + given.used_s
        self._began_s = self._batch_s = clock()
        self._measured_s = 0.0  # of the batch, until its first trial has finished
        self._writing = threading.Lock()

    @property
    def spent_s(self) -> float:
        """Wall time spent by the run."""
        return self._before_s + self.clock() - self._began_s

    @property
    def left_s(self) -> float:
        """Seconds left of the budget."""
        return self.given.seconds - self.spent_s

    def training(self, jobs: Sequence[Job]) -> None:
        """Record how long a batch was measured; see `Watcher`."""
        if jobs[0].kind not in FINALS:
            self._measured_s = self.clock() - self._batch_s

    def finished(self, trial: Trial, *, replayed: bool) -> None:
        """Record the time of a trial; see `Watcher`.

        The sums are saved at each trial, as its batch may be interrupted. So they include the replayed
        ones, unless the process died between the log line of the very first trial and this save.
        """
        if trial.kind not in FINALS:
            self._batch.append(trial)
            if not replayed:
                self._add(trial, self.clock() - self._batch_s)
                self._batch_s = self.clock()
            elif not self._kept.trials and self._kept.expected is None:
                self._add(trial, trial.train_s)
        if not replayed:
            self.keep()

    def _add(self, trial: Trial, wall_s: float) -> None:
        """Add a trial to the sums, and the wall time since the one before."""
        kept, trained = self._kept, [trial] if trial.train_s > 0 else []
        with self._writing:  # saved as a whole or not at all
            kept.search += wall_s
            kept.measured += self._measured_s
            self._measured_s = 0.0
            kept.trained += trial.train_s
            kept.trials += self.worth(trained)

    def next_batch(self, most: int, finals: Callable[[], TrainingTimes]) -> int:
        """Return the size of the next batch, leaving time for the finals; 0 ends the search.

        Args:
            most: Size of a full batch; 0 if the search has all its trials.
            finals: Returns the times of what would be trained at the end if the search ended now.
        """
        self._count_batch()
        if most <= 0:
            self.room = 0
            return 0
        self._batch_s = self.clock()
        number = self._asked
        self._asked += 1
        if number < len(self._kept.sizes):
            return self._kept.sizes[number]
        size = room = most if self._kept.idle < MOST_IDLE else 0
        if size and (needed := self._needed(finals)) is not None:
            trial_s, finals_s = needed
            left_s = self.given.seconds * (1 - RESERVE) - self.spent_s - finals_s
            room = max(0, round(left_s / trial_s))
            size = min(most, room)
            if (
                left_s < self._one_s / 2
            ):  # with many workers one more trial takes longer than its share
                size = 0
            if number == 0:
                size = max(1, size)  # a search without a trial has no result
        if self._kept.trials:
            self.room = room if size else 0
        self._kept.sizes += (size,)
        self.keep()
        return size

    @property
    def _one_s(self) -> float:
        """Mean training time of a trial; 0 if unknown."""
        return self._kept.trained / self._kept.trials if self._kept.trials else 0.0

    def _needed(self, finals: Callable[[], TrainingTimes]) -> tuple[float, float] | None:
        """Return the wall time of one more trial and of the finals; None if unknown."""
        kept = self._kept
        if not kept.trials or not kept.search:
            return kept.expected
        at_once = max(1.0, kept.trained / max(kept.search - kept.measured, SHORTEST_S))
        finalists, repeats = finals()
        times_s = [*(self.final_factor * s for s in finalists), *repeats]
        return kept.search / kept.trials, max([sum(times_s) / at_once, *times_s])

    def _count_batch(self) -> None:
        """Count the finished batch, replayed or not, as idle or not."""
        if self._batch:
            trained = any(trial.train_s > 0 for trial in self._batch)
            self._kept.idle = 0 if trained else self._kept.idle + 1
            self._batch = []

    def keep(self) -> None:
        """Save the time spent, for a resumed run."""
        with self._writing:
            kept = asdict(self._kept) | {"total": self.spent_s}
            write_whole(self.path, json.dumps(kept) + "\n")

    @contextmanager
    def kept_up(self) -> Iterator[None]:
        """Save it every few seconds, as one training may take long, and at the end."""
        ended = threading.Event()

        def keep_up() -> None:
            while not ended.wait(KEPT_EVERY_S):
                with suppress(InputError):  # the search reports a full disk itself
                    self.keep()

        thread = threading.Thread(target=keep_up, daemon=True)
        thread.start()
        try:
            try:
                yield
            finally:
                ended.set()
                thread.join()
        except BaseException:
            with suppress(InputError):  # report what ended the search, not an error of this file
                self.keep()
            raise
        self.keep()
