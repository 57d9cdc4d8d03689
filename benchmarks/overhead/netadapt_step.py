"""Overhead of a NetAdapt step besides training, for MobileNetV3-Large at 224 px.

(a) One step without training, in this process: find every group's proposal and transfer the seed's weights.
    Latencies are estimated by a sum over layers, like a lookup table's, which excludes measuring, since it
    depends on the device. Goal: 2 s.
(b) Fraction of the workers' time spent training, over whole steps with simulated trainings of about 10
    seconds, proportional to MAdds. Jobs and outcomes carry the network's weights. Ray's start is excluded;
    proposals, inheritance, scheduling, the log and idling at a step's end are included. Goal: 90%. If the
    number of proposals is not a multiple of the workers, some must idle at a step's end.
(c) Peak memory of the main process, in both.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from latency import open_device
from nas.adapting.family import Family
from nas.adapting.job import AdaptJob
from nas.adapting.plan import AdaptPlan, adapt_runner
from nas.adapting.watching import AdaptWatcher
from nas.checkpoints.torch_files import state_bytes, state_of
from nas.engine.folder.run_folder import RunFolder
from nas.engine.job import Job, Outcome
from nas.engine.memoized_source import MemoizedSource
from nas.engine.on_ray.cluster import Resources
from nas.engine.on_ray.tune import run_on_ray
from nas.engine.trial import Trial
from nas.training.recipe import Recipe
from netadapt.settings import Settings
from netadapt.shrink import Shrink
from netadapt.weights import inherit
from search_spaces import REFERENCES
from search_spaces.network import build

SEED = REFERENCES["mobilenet_v3_large"]()
RATE = 10.0  # G multiply-adds a second


class Sleeping:
    """A trainer that sleeps and returns inherited weights."""

    def __init__(self, mean_s: float, seed_work: int) -> None:
        self.mean_s, self.seed_work = mean_s, seed_work

    def __call__(self, job: Job) -> Outcome:
        assert isinstance(job, AdaptJob)
        assert job.weights is not None
        begin = time.perf_counter()
        seconds = self.mean_s * job.work / self.seed_work
        weights = state_bytes(inherit(job.parent, state_of(job.weights), job.spec))
        time.sleep(max(0.0, seconds - (time.perf_counter() - begin)))
        return Outcome(0.5 + (job.index % 97) / 1000, train_s=seconds, weights=weights)


class Stopwatch(AdaptWatcher):
    """Records when the first proposal starts to train and when the last is logged."""

    def __init__(self) -> None:
        self.first_s = self.last_s = self.trained_s = 0.0
        self.sizes: dict[int, int] = {}

    def tuned(self, job: AdaptJob, trial: Trial, *, replayed: bool) -> None:  # noqa: ARG002
        self.last_s = time.perf_counter()
        train_s = float(trial.time["train_s"])
        self.first_s = self.first_s or self.last_s - train_s
        self.trained_s += train_s
        self.sizes[job.batch] = self.sizes.get(job.batch, 0) + 1


def fresh(*, target: float, delta: float) -> tuple[Shrink, MemoizedSource]:
    latency = MemoizedSource(open_device(f"madds:{RATE:g}"))
    settings = Settings(target * latency(SEED), delta=delta)
    return Shrink(SEED, settings, accuracy=0.75, latency=latency), latency


def one_step(delta: float) -> dict[str, float]:
    """(a): return seconds of a step and of its proposals, and numbers of proposals and networks."""
    weights = build(SEED).state_dict()
    begin = time.perf_counter()
    shrink, latency = fresh(target=0.5, delta=delta)
    step = shrink.next_step()
    proposed = time.perf_counter()
    for proposal in step.proposals:
        inherit(SEED, weights, proposal.spec)
    return {
        "proposals_s": proposed - begin,
        "inheritance_s": time.perf_counter() - proposed,
        "proposals": len(step.proposals),
        "asked": len(latency.readings),
        "peak_mib": peak_mib(),
    }


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def utilisation(*, workers: int, mean_s: float, delta: float, steps: int) -> dict[str, float]:
    """(b): return the fraction of the workers' time spent training, and its maximum."""
    watch = Stopwatch()
    shrink, latency = fresh(target=1 - delta * steps, delta=delta)
    recipe = Recipe().of_steps(1)
    with tempfile.TemporaryDirectory() as folder:
        run = RunFolder(Path(folder))
        plan = AdaptPlan(
            shrink,
            latency=latency,
            weights=state_bytes(build(SEED).state_dict()),
            family=Family(run),
            run_seed=0,
            recipe=recipe,
            final=lambda reached: [],  # noqa: ARG005
            watcher=watch,
        )
        seed_work = round(recipe.batch_size * latency(SEED) * RATE * 1e6)
        run_on_ray(adapt_runner(plan, run), Sleeping(mean_s, seed_work), Resources(workers=workers))
    proposals = sum(watch.sizes.values())
    rounds = sum(math.ceil(size / workers) for size in watch.sizes.values())
    return {
        "steps": len(watch.sizes),
        "proposals": proposals,
        "training": watch.trained_s / (workers * (watch.last_s - watch.first_s)),
        "at_best": proposals / (workers * rounds),
        "peak_mib": peak_mib(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5, help="of (a), each a process of its own")
    parser.add_argument("--workers", type=int, default=2, help="of (b)")
    parser.add_argument("--mean-s", type=float, default=10.0, help="seconds a training of (b)")
    parser.add_argument("--steps", type=int, default=3, help="about, of (b)")
    parser.add_argument("--one-step", type=float, metavar="DELTA", help="only: (a), print JSON")
    options = parser.parse_args()
    if options.one_step:
        print(json.dumps(one_step(options.one_step)))
        return
    print(
        "| delta | proposals | networks asked about | proposals, s | inheritance, s | peak MiB |\n"
        "|---|---|---|---|---|---|"
    )
    for delta in (0.01, 0.05):
        command = [
            sys.executable,
            "-m",
            "benchmarks.overhead.netadapt_step",
            "--one-step",
            str(delta),
        ]
        runs = [
            json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
            for _ in range(options.repeats)
        ]
        row = sorted(runs, key=lambda run: run["proposals_s"] + run["inheritance_s"])[
            len(runs) // 2
        ]
        print(
            f"| {delta:g} | {row['proposals']} | {row['asked']} | {row['proposals_s']:.2f} | "
            f"{row['inheritance_s']:.2f} | {row['peak_mib']:.0f} |",
            flush=True,
        )
    used = utilisation(
        workers=options.workers, mean_s=options.mean_s, delta=0.05, steps=options.steps
    )
    print(
        f"\ntraining, {options.workers} workers, {used['steps']} steps, {used['proposals']} proposals of "
        f"about {options.mean_s:g} s: {used['training']:.1%} of the time, {used['at_best']:.1%} at best; "
        f"peak {used['peak_mib']:.0f} MiB"
    )


if __name__ == "__main__":
    main()
