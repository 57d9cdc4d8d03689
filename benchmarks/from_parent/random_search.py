"""The rival of plain luck: the best of as many random networks as the search tried, by the same trials.

They are drawn like the proposals of a search that learns nothing: uniformly, near the target according to
the power law of the search's plan. A network that is measured to be over the target does not count.
"""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.from_parent.opened import Opened
from benchmarks.from_parent.trainings import Task, train_all
from controllers import make_controller
from nas.atomic_files import cut_torn_line, read_lines
from nas.engine.job import trial_seed
from nas.run_search import LEAST_OF_TARGET
from nas.searching.from_parent.recovery import Recovery
from nas.searching.latency_warmup import guide
from nas.searching.results.record import RunRecord
from search_spaces import ArchSpec, InputError

ASKED = 16
"""Networks drawn at once."""

MOST_DRAWN = 50
"""Networks drawn for each one within the target, at most."""


def best_of_random(
    opened: Opened, trials: int, *, seed: int, folder: Path, workers: int
) -> ArchSpec:
    """Return the best of a number of random networks within the target, chosen as a search would.

    Args:
        opened: The run.
        trials: Number of networks.
        seed: Random seed of the draws.
        folder: Keeps what was measured and trained.
        workers: Number of processes.

    Raises:
        InputError: Too few random networks are within the target, or every trial failed.
    """
    specs = _drawn(opened, trials, seed=seed, log=folder / "random-latencies.jsonl")
    tasks = [
        Task(
            f"random network {index}",
            spec,
            trial_seed(opened.search.config.seed, index),
            opened.search.config.recipe,
            inherits="trials",
            tests=False,
        )
        for index, spec in enumerate(specs)
    ]
    results = train_all(tasks, opened.training, log=folder / "random-trials.jsonl", workers=workers)
    # As in a search, trials of different resolutions are made comparable by what the rivals show.
    record = RunRecord.read(opened.folder)
    recovery = Recovery.of(record.rivals, record.finals)
    readings = [
        (recovery.comparable(result.reading, spec.resolution), spec)
        for result, spec in zip(results, specs, strict=True)
        if result.reading is not None
    ]
    if not readings:
        raise InputError(f"every random trial failed, for instance: {results[0].error}")
    return max(readings, key=lambda pair: pair[0])[1]


def _drawn(opened: Opened, wanted: int, *, seed: int, log: Path) -> list[ArchSpec]:
    """Return the first random networks that are measured to be within the target."""
    config, space = opened.search.config, opened.space
    controller = make_controller("uniform", space.arities, seed=seed)
    if config.latency_warmup is not None and config.latency_warmup.laws:
        laws = config.latency_warmup.laws
        guide(controller, space, laws, opened.targets_ms, least=LEAST_OF_TARGET)
    cut_torn_line(log)
    known: dict[str, float] = dict(
        read_lines(log, lambda line: (line["network"], line["of_target"]))
    )
    found: dict[str, ArchSpec] = {}
    with log.open("a") as file:
        for _ in range(0, MOST_DRAWN * wanted, ASKED):
            for spec in map(space.decode, controller.ask(ASKED)):
                name = spec.fingerprint
                if name not in known:
                    known[name] = opened.overrun(spec)
                    file.write(json.dumps({"network": name, "of_target": known[name]}) + "\n")
                    file.flush()
                if known[name] <= 1 and name not in found:
                    found[name] = spec
                    print(f"random network {len(found)} of {wanted} is within the target")
                if len(found) == wanted:
                    return list(found.values())
    raise InputError(f"only {len(found)} of {MOST_DRAWN * wanted} random networks meet the target")
