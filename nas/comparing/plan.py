"""The trainings of a comparison: first those that choose each network's learning rate, then its seeds."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product

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


@dataclass(frozen=True)
class Wanted:
    """A training of a network: its position, its multiple of the learning rate, and the random seed."""

    place: int
    rate: float
    seed: int


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
        errors: dict[int, list[str]] = {place: [] for place in places}
        if len(self.rates) > 1:
            tried = [Wanted(*one) for one in product(places, self.rates, self.seeds[:1])]
            trials = yield from self._trained(RATE, tried)
            rates = {place: _best(trials, place) for place in places}
            for wanted, trial in trials.items():
                errors[wanted.place] += [trial.error] if trial.error else []
        asked = [Wanted(place, rates[place], seed) for seed in self.seeds for place in places]
        trials = yield from self._trained(SEED, asked)
        for wanted, trial in trials.items():
            errors[wanted.place] += [trial.error] if trial.error else []
        return [self._chosen(trials, place, errors[place]) for place in places]

    def _trained(
        self, kind: Kind, asked: Iterable[Wanted]
    ) -> Generator[Sequence[CompareJob], list[Trial], dict[Wanted, Trial]]:
        """Ask for trainings, equal ones once; return the trial of each."""
        jobs: dict[str, CompareJob] = {}
        names = {}
        for wanted in asked:
            job = self._job(kind, len(jobs), wanted)
            names[wanted] = job.file
            if job.file not in jobs:
                jobs[job.file] = job
                self.files[job.key] = job.file
        trials = yield list(jobs.values())
        by_file = dict(zip(jobs, trials, strict=True))
        return {wanted: by_file[file] for wanted, file in names.items()}

    def _job(self, kind: Kind, index: int, wanted: Wanted) -> CompareJob:
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
            file=self._file(wanted),
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

    def _chosen(self, trials: Mapping[Wanted, Trial], place: int, errors: Sequence[str]) -> Chosen:
        own = {wanted: trial for wanted, trial in trials.items() if wanted.place == place}
        files = {wanted.seed: self._file(wanted) for wanted, trial in own.items() if trial.ok}
        return Chosen(next(iter(own)).rate, files, tuple(errors))


def _best(trials: Mapping[Wanted, Trial], place: int) -> float:
    """Return the rate of a network with the highest held-out metric, the first of equal ones."""
    own = [(wanted.rate, trial) for wanted, trial in trials.items() if wanted.place == place]
    return max(own, key=lambda pair: -1.0 if pair[1].accuracy is None else pair[1].accuracy)[0]
