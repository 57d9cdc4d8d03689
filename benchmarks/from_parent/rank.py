"""Rank correlation of short trials with long fine-tuning, for the sub-networks of a search's parent.

    python -m benchmarks.from_parent.rank runs/NAME --networks 20 --seeds 2 --workers 2

Random sub-networks with 40 to 55% of the parent's MAdds are fine-tuned by the run's final recipe, once per
seed, and evaluated on the test images. Each is also tried once in every way: without training (batch norm's
statistics are taken anew), and after a few steps of the run's trial recipe with and without the teacher.
Trials inherit from one of two parents, and are read on images that it has not seen:

- the parent of finalists, trained on all training images: on the held-out images;
- the parent of trials, trained without a fold of the training images: on the held-out images alone, and
  with the fold (`nas.searching.from_parent.set_aside`). It is missing where enough images are held out.

`--trunk STEPS` also trains that parent as the trunk of all sub-networks (`benchmarks.from_parent.trunk`),
and ranks networks that inherit from it.

The table has Kendall's tau-b between the reading and the mean test accuracy of the long trainings, with a
95% bootstrap interval over the networks, and the CPU seconds of a trial with its reading. Its last rows
have MAdds in place of a trial, and one long training against the mean of the others.

Everything is kept in `rank/` in the run's folder, and a second start resumes. The run need not be finished.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Literal

import numpy as np

from benchmarks.from_parent.opened import Opened, open_run
from benchmarks.from_parent.trainings import FIRST_SEED, Task, train_all
from benchmarks.trainings import Trained
from benchmarks.trials.rank_correlation import Values, tau
from controllers import make_controller
from nas.atomic_files import write_whole
from nas.checkpoints.torch_files import state_bytes
from nas.engine.job import trial_seed
from nas.formatting import counted
from search_spaces import ArchSpec, ElasticSpace, InputError, count

LEAST, MOST = 0.40, 0.55
"""MAdds of the networks, as fractions of the parent's."""

STEPS = (0, 10, 40, 160)
ASKED = 64
MOST_DRAWN = 100_000


@dataclass(frozen=True)
class Way:
    """A kind of trial.

    Attributes:
        steps: Training steps; 0 takes batch norm's statistics anew.
        inherits: From which parent.
        teacher: Whether that is its teacher.
        trunk: Steps for which the parent was trained for all sub-networks.
    """

    steps: int
    inherits: Literal["finals", "trials"]
    teacher: bool
    trunk: int = 0

    def __str__(self) -> str:
        length = f"{self.steps} steps" if self.steps else "no training"
        return length + (", teacher" if self.teacher else "")


def ways(steps: Sequence[int], *, two_parents: bool, trunk: int = 0) -> list[Way]:
    """Return the kinds of trial: with and without a teacher where anything is trained.

    >>> [str(way) for way in ways((0, 10), two_parents=False)]
    ['no training', '10 steps', '10 steps, teacher']

    Args:
        steps: Lengths of the trials.
        two_parents: Whether trials have a parent of their own.
        trunk: Steps of a trunk; without any there is none.
    """
    parents: tuple[Literal["finals", "trials"], ...] = (
        ("finals", "trials") if two_parents else ("finals",)
    )
    begins = [(parent, 0) for parent in parents]
    begins += [(parents[-1], trunk)] if trunk else []
    return [
        Way(length, parent, teacher, trained)
        for length, (parent, trained) in product(steps, begins)
        for teacher in ((False, True) if length else (False,))
    ]


def drawn(space: ElasticSpace, networks: int, *, seed: int, px: int | None) -> list[ArchSpec]:
    """Return random sub-networks with about half of the parent's MAdds.

    Args:
        space: The parent's sub-networks.
        networks: Their number.
        seed: Random seed of the draws.
        px: Side of their input; any of the space's if None.

    Raises:
        InputError: There are too few.
    """
    whole = count(space.parent).madds
    controller = make_controller("uniform", space.arities, seed=seed)
    found: dict[str, ArchSpec] = {}
    for _ in range(0, MOST_DRAWN, ASKED):
        for spec in map(space.decode, controller.ask(ASKED)):
            if px in (None, spec.resolution) and LEAST <= count(spec).madds / whole <= MOST:
                found[spec.fingerprint] = spec
            if len(found) == networks:
                return list(found.values())
    raise InputError(
        f"only {len(found)} of {MOST_DRAWN:,} random networks have {LEAST:.0%} to {MOST:.0%} of the "
        f"parent's MAdds{f' at {px} px' if px else ''}: give fewer --networks"
    )


def trial_task(opened: Opened, index: int, spec: ArchSpec, way: Way) -> Task:
    """Return the trial of a network; its seed is that of a search's trial."""
    length = {"steps": way.steps, "epochs": None, "min_steps": None}
    recipe = opened.search.config.recipe.model_copy(update=length) if way.steps else None
    return Task(
        f"network {index}, {way}",
        spec,
        trial_seed(opened.search.config.seed, index),
        recipe,
        inherits=way.inherits,
        trunk=trunk_file(opened, way.trunk) if way.trunk else None,
        teacher=way.teacher,
        tests=False,
    )


def trunk_file(opened: Opened, steps: int) -> Path:
    """Return the file of a trunk, which is trained if it is missing."""
    path = opened.folder / "rank" / f"trunk-{steps}.pt"
    if not path.is_file():
        from benchmarks.from_parent.trunk import trained_trunk

        training, seed = opened.training, opened.search.config.seed
        trunk = trained_trunk(
            training.trials, opened.space, training.final_recipe, steps=steps, seed=seed
        )
        write_whole(path, state_bytes(trunk.weights))
    return path


def long_task(opened: Opened, index: int, spec: ArchSpec, seed: int) -> Task:
    """Return a long training of a network."""
    return Task(
        f"network {index}, long, seed {seed}",
        spec,
        trial_seed(FIRST_SEED + seed, index, "final"),
        opened.training.final_recipe,
    )


def rows(
    tried: dict[Way, list[Trained]], longs: list[list[Trained]], specs: Sequence[ArchSpec]
) -> Iterator[tuple[str, str, str, str]]:
    """Yield the table's rows: the trial, the parent and the images of its reading, tau, CPU seconds.

    Args:
        tried: The trials of each network, by kind.
        longs: The long trainings of each network, by seed.
        specs: The networks.
    """
    tests = np.array([[100 * one.test for one in of] for of in longs])  # (networks, seeds)
    truth = tests.mean(axis=1)
    for way, trials in tried.items():
        seconds = f"{np.mean([trial.cpu_s for trial in trials]):.1f}"
        alone = values(trial.held_out for trial in trials)
        parent = "of finalists" if way.inherits == "finals" else "of trials"
        parent += f", trunk of {way.trunk:,} steps" if way.trunk else ""
        yield str(way), f"{parent}, held out", tau(alone, truth), seconds
        if way.inherits == "trials":
            together = values(trial.reading for trial in trials)
            yield str(way), f"{parent}, held out and fold", tau(together, truth), seconds
    madds = np.array([count(spec).madds for spec in specs], float)
    yield "MAdds", "", tau(madds, truth), "0"
    if tests.shape[1] > 1:
        seconds = f"{np.mean([one.cpu_s for of in longs for one in of]):.0f}"
        others = tests[:, 1:].mean(axis=1)
        yield "long, one seed", "test images; the other seeds", tau(tests[:, 0], others), seconds


def values(readings: Iterable[float | None]) -> Values:
    """Return readings as an array; a failed trial has the lowest, as in a search."""
    return np.array([0.0 if one is None else one for one in readings])


def report(
    opened: Opened,
    tried: dict[Way, list[Trained]],
    longs: list[list[Trained]],
    specs: Sequence[ArchSpec],
) -> str:
    """Return the table as Markdown."""
    test = [100 * float(np.mean([one.test for one in of])) for of in longs]
    sizes = ", ".join(f"{px} px" for px in sorted({spec.resolution for spec in specs}))
    data = opened.training.finals.images[opened.space.parent.resolution]
    lines = [
        f"{counted(len(specs), 'network')} ({sizes}) with {LEAST:.0%} to {MOST:.0%} of the parent's MAdds; "
        f"{counted(len(longs[0]), 'long training')} each, mean test accuracy {min(test):.1f} to "
        f"{max(test):.1f}% on {len(data.test):,} images; {len(data.val):,} held out. Each trial once. "
        "Intervals: 95%, bootstrap over the networks.",
        "",
        "| trial | its parent, and what it is read on | Kendall's tau | CPU s |",
        "|---|---|---|---|",
        *(f"| {' | '.join(row)} |" for row in rows(tried, longs, specs)),
    ]
    return "\n".join(lines) + "\n"


def run_all(opened: Opened, given: argparse.Namespace) -> str:
    """Run what is missing; return the report.

    Raises:
        InputError: There are too few networks, or a long training failed.
    """
    folder = opened.folder / "rank"
    folder.mkdir(exist_ok=True)
    specs = drawn(opened.space, given.networks, seed=given.draw, px=given.px)
    two_parents = opened.training.trials is not opened.training.finals
    kinds = ways(given.steps, two_parents=two_parents, trunk=given.trunk)
    short = [
        trial_task(opened, index, spec, way) for index, spec in enumerate(specs) for way in kinds
    ]
    long = [
        long_task(opened, index, spec, seed)
        for seed in range(given.seeds)
        for index, spec in enumerate(specs)
    ]
    print(f"{counted(len(short), 'trial')} and {counted(len(long), 'long training')}", flush=True)
    results = train_all(
        [*short, *long], opened.training, log=folder / "trainings.jsonl", workers=given.workers
    )
    trials, ends = results[: len(short)], results[len(short) :]
    if failed := [end.error for end in ends if end.reading is None]:
        raise InputError(f"a long training failed: {failed[0]}")
    tried = {way: trials[place :: len(kinds)] for place, way in enumerate(kinds)}
    longs = [ends[index :: len(specs)] for index in range(len(specs))]
    return report(opened, tried, longs, specs)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="folder of a search from a parent")
    parser.add_argument("--networks", type=int, default=20, help="random sub-networks (20)")
    parser.add_argument("--seeds", type=int, default=2, help="long trainings of each (2)")
    parser.add_argument(
        "--steps",
        type=int,
        nargs="+",
        default=STEPS,
        help="of trials; 0 trains nothing (0 10 40 160)",
    )
    parser.add_argument("--px", type=int, help="only networks of this resolution")
    parser.add_argument("--draw", type=int, default=0, help="random seed of the networks (0)")
    parser.add_argument(
        "--trunk", type=int, default=0, metavar="STEPS", help="also train a trunk; its steps (0)"
    )
    parser.add_argument("--workers", type=int, default=2, help="processes (2)")
    given = parser.parse_args()
    if min(given.networks, given.seeds, given.workers) < 1 or min(*given.steps, given.trunk) < 0:
        parser.error(
            "--networks, --seeds and --workers must be at least 1, --steps and --trunk at least 0"
        )
    return given


def main() -> None:
    given = parse_arguments()
    try:
        opened = open_run(given.run)
        text = run_all(opened, given)
    except InputError as error:
        raise SystemExit(str(error)) from error
    path = given.run / "rank" / "rank.md"
    write_whole(path, text)
    print(f"\n{text}\nkept in {path}")


if __name__ == "__main__":
    main()
