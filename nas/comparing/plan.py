"""The trainings of a comparison: first those that choose each network's learning rate, then its seeds."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import NamedTuple

from nas.comparing.contestant import Contestant
from nas.comparing.job import RATE, SEED, CompareJob
from nas.comparing.trainings import key_of
from nas.engine.job import Key, Kind
from nas.engine.trial import Trial
from nas.training.recipe import Recipe


@dataclass(frozen=True)
class Chosen:
    """How a network was trained.

    Attributes:
        rate: Its multiple of the recipe's learning rate.
        files: Names of its trainings by seed, those that failed left out; see `nas.comparing.trainings`.
        errors: Why trainings failed.
    """

    rate: float
    files: Mapping[int, str]
    errors: tuple[str, ...]


class Wanted(NamedTuple):
    """A training: the position of its network, its multiple of the learning rate, and its random seed."""

    place: int
    rate: float
    seed: int


class Ended(NamedTuple):
    """A training that has ended, with its name."""

    wanted: Wanted
    file: str
    trial: Trial


@dataclass(frozen=True)
class ComparePlan:
    """Trains every network at each rate, and then with each seed at the rate that was best for it.

    Held-out images choose the rate. All networks choose among the same rates by one training each, which
    also counts as that of the first seed.

    Attributes:
        contestants: The networks.
        recipes: The recipe of each, for a number of steps.
        images: Digest of the images of each; see `nas.comparing.trainings.digest_of_images`.
        rates: Multiples of the learning rates.
        seeds: Random seeds.
        teacher: Digest of the teacher; None without one.
        device: `cpu` or `cuda`.
        files: Name of each training that was asked for, filled in as the plan runs.
    """

    contestants: Sequence[Contestant]
    recipes: Sequence[Recipe]
    images: Sequence[str]
    rates: Sequence[float]
    seeds: Sequence[int]
    teacher: str | None
    device: str
    files: dict[Key, str] = field(default_factory=dict)

    def __call__(self) -> Generator[Sequence[CompareJob], list[Trial], list[Chosen]]:
        """Yield two batches of jobs at most; return how each network was trained."""
        places = range(len(self.contestants))
        rates = dict.fromkeys(places, self.rates[0])
        tried: list[Ended] = []
        if len(self.rates) > 1:
            choice = product(places, self.rates, self.seeds[:1])
            tried = yield from self._trained(RATE, [Wanted(*one) for one in choice])
            rates = {place: _best_rate(_of(tried, place)) for place in places}
        asked = [Wanted(place, rates[place], seed) for seed in self.seeds for place in places]
        ended = yield from self._trained(SEED, asked)
        return [
            Chosen(
                rates[place],
                {one.wanted.seed: one.file for one in _of(ended, place) if one.trial.ok},
                tuple(one.trial.error for one in _of(tried + ended, place) if one.trial.error),
            )
            for place in places
        ]

    def _trained(
        self, kind: Kind, asked: Sequence[Wanted]
    ) -> Generator[Sequence[CompareJob], list[Trial], list[Ended]]:
        """Ask for trainings, equal ones once; return how each ended."""
        files = [self._file(wanted) for wanted in asked]
        jobs: dict[str, CompareJob] = {}
        for wanted, file in zip(asked, files, strict=True):
            if file not in jobs:
                jobs[file] = self._job(kind, len(jobs), wanted, file)
        self.files.update({job.key: file for file, job in jobs.items()})
        trials = yield list(jobs.values())
        by_file = dict(zip(jobs, trials, strict=True))
        return [
            Ended(wanted, file, by_file[file]) for wanted, file in zip(asked, files, strict=True)
        ]

    def _job(self, kind: Kind, index: int, wanted: Wanted, file: str) -> CompareJob:
        one, recipe = self.contestants[wanted.place], self._recipe(wanted)
        at = "" if len(self.rates) == 1 else f", {wanted.rate:g} of the learning rate"
        return CompareJob(
            index=index,
            kind=kind,
            batch=int(kind == SEED),
            tokens=(),
            spec=one.spec,
            seed=wanted.seed,
            name=f"{one.name}{at}, seed {wanted.seed}",
            place=wanted.place,
            recipe=recipe,
            file=file,
        )

    def _recipe(self, wanted: Wanted) -> Recipe:
        recipe = self.recipes[wanted.place]
        return recipe.model_copy(update={"learning_rate": wanted.rate * recipe.learning_rate})

    def _file(self, wanted: Wanted) -> str:
        return key_of(
            self.contestants[wanted.place],
            self.images[wanted.place],
            self._recipe(wanted),
            seed=wanted.seed,
            teacher=self.teacher,
            device=self.device,
        )


def _of(ended: Sequence[Ended], place: int) -> list[Ended]:
    return [one for one in ended if one.wanted.place == place]


def _best_rate(tried: Sequence[Ended]) -> float:
    """Return the rate with the highest held-out metric, the first of equal ones."""

    def metric(one: Ended) -> float:
        return -1.0 if one.trial.accuracy is None else one.trial.accuracy

    return max(tried, key=metric).wanted.rate
