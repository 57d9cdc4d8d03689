"""Overhead of a search besides training.

(a) Fraction of the wall time that two workers do not train, with trials of about 10 seconds. Ray's start is
    excluded; scheduling, batch ends and the log are included. Latencies are estimated, which excludes
    measuring, since it depends on the device.
(b) A simulated search of many trials, in this process: seconds and peak memory at 2,000, 4,000 and 8,000
    trials, each in its own process.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from controllers import make_controller
from latency import open_device
from nas.engine.folder.run_folder import RunFolder
from nas.engine.job import Job, Outcome
from nas.engine.measuring import measure
from nas.engine.on_ray.cluster import Resources
from nas.engine.on_ray.tune import run_on_ray
from nas.engine.runner import BatchRunner, run_serially
from nas.engine.trial import Trial
from nas.engine.watching import Silent
from nas.searching.plan import Budget, SearchPlan, search_runner
from search_spaces import load_space


class Sleeping:
    """An evaluator that sleeps for 7.5 to 12.5 s, by the job's seed."""

    def __init__(self, mean_s: float) -> None:
        self.mean_s = mean_s

    def __call__(self, job: Job) -> Outcome:
        seconds = self.mean_s * (0.75 + 0.5 * (job.seed % 1000) / 1000)
        time.sleep(seconds)
        return Outcome(0.5 + (job.seed % 97) / 1000, train_s=seconds)


class Stopwatch(Silent):
    """Records when the first batch starts to train and when the last trial is logged."""

    def __init__(self) -> None:
        self.first_s = self.last_s = 0.0
        self.trained_s = 0.0

    def finished(self, trial: Trial, *, replayed: bool) -> None:  # noqa: ARG002
        self.last_s = time.perf_counter()
        train_s = float(trial.time["train_s"])
        self.first_s = self.first_s or self.last_s - train_s
        self.trained_s += train_s


def simulated(job: Job) -> Outcome:
    return Outcome(0.5 + (sum(job.tokens) % 89) / 1000)


def make_runner(folder: Path, *, trials: int, batch_size: int, watcher: Silent) -> BatchRunner[Job]:
    space = load_space("mnasnet", classes=10)
    plan = SearchPlan(
        space,
        make_controller("rnn", space.arities, seed=0),
        reward=lambda accuracy, every_ms: accuracy * (every_ms[0] / 40) ** -0.15,
        targets_ms=[40.0],
        budget=Budget(trials, batch_size, finalists=0, repeats=0, seed=0),
        watcher=watcher,
    )
    return search_runner(plan, RunFolder(folder), partial(measure, [open_device("madds:10")]))


def not_training(*, workers: int, mean_s: float, trials: int) -> float:
    """Return the fraction of the workers' time, from first start to last end, not spent training."""
    watch = Stopwatch()
    with tempfile.TemporaryDirectory() as folder:
        runner = make_runner(Path(folder), trials=trials, batch_size=10, watcher=watch)
        run_on_ray(runner, Sleeping(mean_s), Resources(workers=workers))
    return 1 - watch.trained_s / (workers * (watch.last_s - watch.first_s))


def one_simulation(trials: int) -> dict[str, float]:
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        runner = make_runner(Path(folder), trials=trials, batch_size=10, watcher=Silent())
        run_serially(runner, simulated)
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": time.perf_counter() - begin, "peak_mib": peak_mib}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--trials", type=int, default=30, help="of (a)")
    parser.add_argument("--mean-s", type=float, default=10.0, help="seconds a trial of (a)")
    parser.add_argument("--simulate", type=int, help="only: simulate so many trials, print JSON")
    options = parser.parse_args()
    if options.simulate:
        print(json.dumps(one_simulation(options.simulate)))
        return
    print("| simulated trials | seconds | peak MiB |\n|---|---|---|")
    for trials in (2000, 4000, 8000):
        command = [
            sys.executable,
            "-m",
            "benchmarks.overhead.search_overhead",
            "--simulate",
            str(trials),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        row = json.loads(done.stdout)
        print(f"| {trials} | {row['seconds']:.1f} | {row['peak_mib']:.0f} |", flush=True)
    share = not_training(workers=2, mean_s=options.mean_s, trials=options.trials)
    print(
        f"\nnot training, 2 workers, {options.trials} trials of {options.mean_s:g} s: {share:.1%}"
    )


if __name__ == "__main__":
    main()
