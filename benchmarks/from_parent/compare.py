"""Compare the network that a search from a parent has found with its rivals, several trainings each.

    python -m benchmarks.from_parent.compare runs/NAME --workers 2
    ... --torch-pruning --random --rival other.pt     # further rivals

Compared are the search's best finalist (by its held-out accuracy) with the rivals of the run: the parent at
each resolution, narrowed by a width multiplier where it is over the target. Further rivals by option:

- `--torch-pruning`: what Torch-Pruning makes of the parent, pruned to the same target;
- `--random`: the best of as many random networks as the search tried, by trials of the same recipe;
- `--rival`: a network with weights of its own, which is fine-tuned by the parent's recipe first. It gets
  the largest of the search's resolutions at which it meets the target.

Those that the run itself was compared with (`--rival`, `--with-netadapt`) are always among them. Without
further rivals `nas compare runs/NAME` does the same.

With `--trial N` another finalist is compared, such as one of a search with `--curve`, with the rivals of
its own latency; `benchmarks.from_parent.curve` draws all of a run's comparisons together.

Each is trained by the search's final recipe and with its teacher, once per seed. The search's own trainings
do not count: its best finalist was chosen among them, so its accuracy there is too high. All latencies are
measured in one session, interleaved with the parent's.

Everything is kept in `compare/` in the run's folder. A second start resumes; with more seeds, only the new
ones train.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

from benchmarks.from_parent.comparison import Comparison, Contestant, Parent, Row
from benchmarks.from_parent.opened import Opened, open_run
from benchmarks.from_parent.own_rival import TooSlowError, own_rival
from benchmarks.from_parent.pruning import prune_to_target
from benchmarks.from_parent.random_search import best_of_random
from benchmarks.from_parent.trainings import FIRST_SEED, Task, train_all
from nas.atomic_files import read_json, write_whole
from nas.checkpoints.checkpoint import load_checkpoint
from nas.checkpoints.scoring import score
from nas.comparing.latencies import Read, read_together
from nas.engine.job import trial_seed
from nas.engine.trial import Trial
from nas.formatting import counted, duration
from nas.searching.results.record import RunRecord
from nas.searching.results.search_result import choose_winner
from nas.tasks import task_of
from search_spaces import ArchSpec, InputError


@dataclass(frozen=True)
class Options:
    """What to compare with, and how.

    Attributes:
        seeds: Trainings of each network.
        workers: Processes.
        random: Whether to compare with random search, which trains as many trials as the search did.
        random_seed: Random seed of its draws.
        torch_pruning: Resolutions at which to compare with Torch-Pruning.
        rivals: Checkpoints of further rivals.
        trial: The finalist to compare; None takes the best one within the run's target.
    """

    seeds: int
    workers: int
    random: bool = False
    random_seed: int = 0
    torch_pruning: tuple[int, ...] = ()
    rivals: tuple[Path, ...] = ()
    trial: int | None = None


def contestants(opened: Opened, options: Options, folder: Path) -> Iterator[Contestant]:
    """Yield the networks to compare, ours first."""
    record = RunRecord.read(opened.folder)
    finalist = the_finalist(opened, options.trial)
    spec = opened.space.decode(finalist.tokens)
    yield Contestant("search", f"trial {finalist.index} of the search", spec)
    made = [rival for rival in opened.rivals if rival.normalization is None]
    for rival in made:
        whole = rival.spec == replace(opened.space.parent, resolution=rival.spec.resolution)
        yield Contestant("resolution" if whole else "width", rival.name, rival.spec)
    for px in options.torch_pruning:
        path = folder / f"torch-pruning-{px}.pt"
        prune_to_target(opened, px, path)
        spec = load_checkpoint(path).spec
        yield Contestant("torch-pruning", f"Torch-Pruning at {px} px", spec, path)
    if options.random:
        trials, seed = len(record.trials), options.random_seed
        spec = best_of_random(opened, trials, seed=seed, folder=folder, workers=options.workers)
        yield Contestant("random", f"best of {trials} random networks", spec)
    narrowed = opened.folder / "netadapt.pt"
    if narrowed.is_file() and options.trial is None:  # it was made for the run's target
        spec = load_checkpoint(narrowed).spec
        yield Contestant("netadapt", f"NetAdapt at {spec.resolution} px", spec, narrowed)
    for path in sorted((opened.folder / "rivals").glob("*.pt")):
        try:
            yield own_rival(opened, path, folder)
        except TooSlowError as error:  # it meets the run's target, not this finalist's latency
            print(f"left out: {error}")
    for path in options.rivals:
        yield own_rival(opened, path, folder)


def the_finalist(opened: Opened, index: int | None) -> Trial:
    """Return the best finalist of a run within its targets, or that of a trial.

    Raises:
        InputError: It was not trained as a finalist.
    """
    finals = RunRecord.read(opened.folder).finals
    if index is None:
        best = choose_winner(finals, targets_ms=opened.targets_ms, kinds=("final",))
        if best is None:
            raise InputError(f"{opened.folder.path}: no finalist was trained: nothing to compare")
        return best
    good = {trial.index: trial for trial in finals if trial.kind == "final" and trial.ok}
    if index not in good:
        known = ", ".join(map(str, sorted(good)))
        raise InputError(f"--trial {index} is not among the run's finalists: they are {known}")
    return good[index]


def reads(opened: Opened, specs: Sequence[ArchSpec], path: Path) -> list[list[Read]]:
    """Return the latencies of the parent and each network on each device, measured once and kept."""
    names = [spec.fingerprint for spec in specs]
    if path.is_file() and (kept := read_json(path))["networks"] == names:
        return [[Read.from_dict(one) for one in devices] for devices in kept["reads"]]
    print(f"measuring {counted(len(specs), 'network')} next to the parent", flush=True)
    by_device = [
        read_together(source, [opened.space.parent, *specs]) for source in opened.search.sources
    ]
    found = [list(devices) for devices in zip(*by_device, strict=True)]
    content = {"networks": names, "reads": [[one.to_dict() for one in row] for row in found]}
    write_whole(path, json.dumps(content, indent=1) + "\n")
    return found


def compare(opened: Opened, options: Options, folder: Path) -> Comparison:
    """Train and measure everything that is missing in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    if options.trial is not None:
        opened = opened.at(the_finalist(opened, options.trial).latencies_ms, folder)
    every = list(contestants(opened, options, folder))
    base, *latencies = reads(opened, [one.spec for one in every], folder / "latencies.json")
    seeds = range(options.seeds)
    tasks = [
        Task(
            f"{one.name}, seed {seed}",
            one.spec,
            trial_seed(FIRST_SEED + seed, 0, "final"),
            opened.training.final_recipe,
            start=one.start,
        )
        for seed, one in product(seeds, every)
    ]
    say_cost(opened, len(tasks), workers=options.workers)
    results = train_all(
        tasks, opened.training, log=folder / "trainings.jsonl", workers=options.workers
    )
    pairs = dict(zip(product(seeds, range(len(every))), results, strict=True))
    rows = [
        Row.of(one, latencies[place], {seed: pairs[seed, place] for seed in seeds})
        for place, one in enumerate(every)
    ]
    parent = the_parent(opened, base, opened.folder / "compare")
    return Comparison.of(opened.folder.path.resolve().name, parent, rows)


def say_cost(opened: Opened, trainings: int, *, workers: int) -> None:
    """Print how long the trainings take, by those of the run."""
    finals = [trial for trial in RunRecord.read(opened.folder).finals if trial.kind != "repeat"]
    one_s = sum(trial.train_s for trial in finals) / max(1, len(finals))
    print(
        f"{counted(trainings, 'training')} in all, {duration(one_s)} each in the run: about "
        f"{duration(one_s * trainings / workers)} in {counted(workers, 'process', 'processes')}",
        flush=True,
    )


def the_parent(opened: Opened, latencies: Sequence[Read], folder: Path) -> Parent:
    """Return the figures of the parent itself, which is not trained again."""
    path, px = folder / "parent.json", opened.space.parent.resolution
    if not path.is_file():
        test = score(opened.parent, opened.images.deployed[px], ("test",))
        write_whole(path, json.dumps({"test": test.accuracy, "images": test.images}) + "\n")
    kept = read_json(path)
    spec = opened.space.parent
    sources, targets = opened.search.sources, opened.targets_ms
    # The run's readings are on the scale of the parent's pace in the same rounds, which they record.
    known = opened.rivals[0].latencies if opened.rivals else ()
    paces: list[float | None] = [reading.anchor_ms for reading in known] or [None] * len(sources)
    own_ms = [
        pace or source.latency(spec).median_ms for pace, source in zip(paces, sources, strict=True)
    ]
    return Parent(
        spec=spec,
        latencies=tuple(latencies),
        test=kept["test"],
        images=kept["images"],
        metric=task_of(opened.images.deployed[px].task).metric.name,
        devices=tuple(source.device.name for source in sources),
        targets_ms=tuple(targets),
        targets_of_parent=tuple(ms / own for ms, own in zip(targets, own_ms, strict=True)),
    )


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="folder of a finished search from a parent")
    parser.add_argument("--seeds", type=int, default=5, help="trainings of each network (5)")
    parser.add_argument("--workers", type=int, default=2, help="processes (2)")
    parser.add_argument("--rival", type=Path, nargs="+", default=[], help="checkpoints of rivals")
    parser.add_argument("--trial", type=int, metavar="N", help="compare this finalist")
    parser.add_argument("--random", action="store_true", help="compare with random search")
    parser.add_argument("--random-seed", type=int, default=0, help="of its draws (0)")
    parser.add_argument(
        "--torch-pruning",
        type=int,
        nargs="*",
        metavar="PX",
        help="compare with Torch-Pruning, at the parent's resolution by default",
    )
    given = parser.parse_args()
    if given.seeds < 1 or given.workers < 1:
        parser.error("--seeds and --workers must be at least 1")
    return given


def open_finished(run: Path) -> Opened:
    """Open a finished search.

    Raises:
        InputError: It is not finished, or see `open_run`.
    """
    if (run / "config.yaml").is_file() and not (run / "result.json").is_file():
        raise InputError(f"{run} is not a finished search: finish it by nas-search --resume {run}")
    return open_run(run)


def options_of(given: argparse.Namespace, opened: Opened) -> Options:
    """Return the options of the command line.

    Raises:
        InputError: A resolution is not one of the search's.
    """
    sides: list[int] = given.torch_pruning or []
    if given.torch_pruning == []:
        sides = [opened.space.parent.resolution]
    if unknown := set(sides) - set(opened.images.deployed):
        known = ", ".join(map(str, sorted(opened.images.deployed)))
        raise InputError(f"--torch-pruning {unknown.pop()}: the search's resolutions are {known}")
    return Options(
        seeds=given.seeds,
        workers=given.workers,
        random=given.random,
        random_seed=given.random_seed,
        torch_pruning=tuple(sides),
        rivals=tuple(given.rival),
        trial=given.trial,
    )


def main() -> None:
    given = parse_arguments()
    run: Path = given.run
    try:
        opened = open_finished(run)
        folder = run / "compare" / ("" if given.trial is None else f"trial-{given.trial}")
        comparison = compare(opened, options_of(given, opened), folder)
    except InputError as error:
        raise SystemExit(str(error)) from error
    write_whole(folder / "compare.json", json.dumps(comparison.to_dict(), indent=1) + "\n")
    write_whole(folder / "compare.md", comparison.markdown())
    print(f"\n{comparison.markdown()}\nkept in {folder}: compare.md, compare.json")


if __name__ == "__main__":
    main()
