"""What a finished search of an ablation has found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

from nas.engine.folder.run_folder import RunFolder
from nas.engine.trial import Trial
from nas.searching.results.record import RunRecord
from nas.searching.results.search_result import choose_winner
from search_spaces import InputError


class Tried(NamedTuple):
    """A trial.

    Attributes:
        of_target: Its latency relative to the target; the largest of several devices'.
        accuracy: On the held-out images, 0..1.
        train_s: Seconds of its training.
    """

    of_target: float
    accuracy: float
    train_s: float


@dataclass(frozen=True)
class Outcome:
    """What a search has found.

    Attributes:
        name: The search's name in the ablation.
        seed: Its random seed.
        trials: Its successful trials, in order.
        of_target: Latency of its best finalist relative to the target; the largest of several devices'.
        held_out: The finalist's metric on the held-out images, 0..1.
        test: The same on the test images; None if they could not be read.
    """

    name: str
    seed: int
    trials: tuple[Tried, ...]
    of_target: float
    held_out: float
    test: float | None

    @classmethod
    def read(cls, folder: RunFolder, name: str, *, seed: int) -> Self:
        """Read a search's folder.

        The best finalist is that of the search, even where a rival is what the search recommends.

        Raises:
            InputError: The search is not finished, a file is damaged, or no finalist could be trained.
        """
        record = RunRecord.read(folder)
        targets_ms, result = record.targets_ms, record.result
        best = choose_winner(record.finals, targets_ms=targets_ms, kinds=("final",))
        if result is None or best is None or best.accuracy is None:
            raise InputError(f"{folder.path} has no finalist that could be trained")
        test = result.test_accuracy if result.is_of(best) else None
        if result.verdict is not None:
            test = result.verdict.finalist.accuracy
        return cls(
            name=name,
            seed=seed,
            trials=tuple(_tried(trial, targets_ms) for trial in record.good),
            of_target=_of_target(best, targets_ms),
            held_out=best.accuracy,
            test=test,
        )

    @property
    def within(self) -> float:
        """Fraction of the trials that are within the target; 0 without any."""
        return sum(one.of_target <= 1 for one in self.trials) / max(1, len(self.trials))

    @property
    def train_s(self) -> float:
        """Seconds of training in all trials."""
        return sum(one.train_s for one in self.trials)

    def best_within(self, *, seconds: float | None = None) -> float | None:
        """Return the best held-out metric of the trials within the target, 0..1; None without any.

        Args:
            seconds: Only trials that ended within this training time count; None takes all.
        """
        spent, best = 0.0, None
        for one in self.trials:
            spent += one.train_s
            if seconds is not None and spent > seconds + 1e-6:
                break
            if one.of_target <= 1:
                best = one.accuracy if best is None else max(best, one.accuracy)
        return best


def _tried(trial: Trial, targets_ms: Sequence[float]) -> Tried:
    assert trial.accuracy is not None  # it is one of the good ones
    return Tried(_of_target(trial, targets_ms), trial.accuracy, float(trial.time["train_s"]))


def _of_target(trial: Trial, targets_ms: Sequence[float]) -> float:
    return max(ms / target for ms, target in zip(trial.latencies_ms, targets_ms, strict=True))
