"""Wall time as a search's budget, in place of a number of trials.

Time spent is summed over all processes that have worked on a run. Each batch's size is written down before
the batch begins: the clock decides it once, and a resumed run takes it from the file. So all that depends
on the clock is the number of trials.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from nas.atomic_files import read_json, write_whole
from nas.engine.trial import Trial
from nas.engine.watching import Silent
from search_spaces import InputError

RESERVE = 0.02
"""Part of the time that is kept for what comes after the last training: test images, files, report."""

MOST_IDLE = 5
"""Batches of nothing but networks tried before, after which a search has nothing more to spend time on."""

KEPT_EVERY_S = 10.0
"""What a `kill -9` takes from the account of the time spent, at most."""

TrainingTimes = tuple[Sequence[float], Sequence[float]]
"""Seconds that the trials took that would be finalists, and those that would be repeated."""


@dataclass
class Spent:
    """What a run has spent so far, in seconds.

    Attributes:
        total: Wall time.
        search: Of it, on batches that are whole.
        trained: Of training in these batches, summed over trials that may have run side by side.
        trials: Trials in these batches that were trained; others were of networks tried before. With
            multi-fidelity a fraction: as many candidates as the trainings are the work of.
        idle: Latest batches, one after another, of which nothing was trained.
        sizes: Of the batches begun; a last 0 says that the search has ended.
        expected: What the run expected of a trial and of all finals before any trial had ended.
    """

    total: float = 0.0
    search: float = 0.0
    trained: float = 0.0
    trials: float = 0
    idle: int = 0
    sizes: tuple[int, ...] = ()
    expected: tuple[float, float] | None = None

    @classmethod
    def kept(cls, path: Path) -> Self:
        """What stands in a file; nothing is spent where there is none."""
        if not path.is_file():
            return cls()
        kept = read_json(path)
        expected = kept.get("expected")
        return cls(
            **{**kept, "sizes": tuple(kept["sizes"]), "expected": expected and tuple(expected)}
        )


@dataclass(frozen=True)
class WallTime:
    """How long a search may take.

    Attributes:
        seconds: The whole run's, finals and what came before the first batch with them.
        expected_s: Wall time of a trial and of all finals, before any trial has ended; None lets the first
            batch be whole. A run that is gone on with has its own.
        used_s: Spent before the search was called.
    """

    seconds: float
    expected_s: tuple[float, float] | None = None
    used_s: float = 0.0


class TimeBudget(Silent):
    """Decides how large the next batch may be; watches the run to know what trials take.

    Attributes:
        room: How many further trials had room when the latest batch was decided, from the times of those
            that have trained; None before any has.

    Args:
        given: How long the search may take.
        path: Where what is spent is kept.
        final_factor: How many times as long as a trial a finalist trains.
        worth: How many candidates some trainings are the work of; see `nas.searching.fidelity`.
        clock: Seconds.
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
        self._fresh: list[Trial] = []  # finished since the latest batch was decided
        self._kept = Spent.kept(path)
        self._kept.expected = self._kept.expected or given.expected_s
        self._asked = 0
        self.room: int | None = None
        self._before_s = self._kept.total + given.used_s
        self._began_s = self._batch_s = clock()
        self._writing = threading.Lock()

    @property
    def spent_s(self) -> float:
        """Wall time of the run until now."""
        return self._before_s + self.clock() - self._began_s

    @property
    def left_s(self) -> float:
        """Of the given time."""
        return self.given.seconds - self.spent_s

    def finished(self, trial: Trial, *, replayed: bool) -> None:
        """Note what a trial took; see `Watcher`."""
        if not replayed:
            self._fresh.append(trial)
            self.keep()

    def next_batch(self, most: int, finals: Callable[[], TrainingTimes]) -> int:
        """Return the trials of the next batch: as many as leave time for the finals; 0 ends the search.

        Args:
            most: Of a whole batch; 0 where the search has all its trials.
            finals: Tells what would be trained at the end if the search ended now.
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
            if left_s < self._one_s / 2:  # many workers: one more alone takes longer than its share
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
        """What a training takes by itself, as far as that is known."""
        return self._kept.trained / self._kept.trials if self._kept.trials else 0.0

    def _needed(self, finals: Callable[[], TrainingTimes]) -> tuple[float, float] | None:
        """Wall time of one more trial, and of the finals; None before anything is known."""
        kept = self._kept
        if not kept.trials or not kept.search:
            return kept.expected
        at_once = max(1.0, kept.trained / kept.search)
        finalists, repeats = finals()
        times_s = [*(self.final_factor * s for s in finalists), *repeats]
        return kept.search / kept.trials, max([sum(times_s) / at_once, *times_s])

    def _count_batch(self) -> None:
        """Add the batch that has ended to what is known; a replayed one was added when it ran."""
        if not self._fresh:
            return
        kept, trained = self._kept, [trial for trial in self._fresh if trial.train_s > 0]
        with self._writing:  # all of it or nothing is written down
            kept.search += self.clock() - self._batch_s
            kept.trained += sum(trial.train_s for trial in trained)
            kept.trials += self.worth(trained)
            kept.idle = 0 if trained else kept.idle + 1
        self._fresh = []
        self.keep()

    def keep(self) -> None:
        """Write down what is spent, so that a resumed run has what is left."""
        with self._writing:
            kept = asdict(self._kept) | {"total": self.spent_s}
            write_whole(self.path, json.dumps(kept) + "\n")

    @contextmanager
    def kept_up(self) -> Iterator[None]:
        """Write it down every few seconds too, as one training may take long, and at the end."""
        ended = threading.Event()

        def keep_up() -> None:
            while not ended.wait(KEPT_EVERY_S):
                with suppress(InputError):  # the search meets a full disk itself, and says so
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
            with suppress(
                InputError
            ):  # what ended the search is said, not what is wrong with this file
                self.keep()
            raise
        self.keep()
