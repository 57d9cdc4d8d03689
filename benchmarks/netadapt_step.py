"""What a step of NetAdapt costs besides training, for MobileNetV3-Large.

(a) Generating a step's proposals: choosing widths by the latencies of a source that answers at once, and
    cutting each proposal's weights out of the parent's.
(b) Share of two workers' time that trains over one step of 20-odd proposals of 10 seconds, on Ray.
(c) Peak memory of (a) in a process of its own.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from latency.madds import MaddsEstimate
from nas.adapt_loop import AdaptLoop, AdaptWatcher, Remembering
from nas.runs import RunFolder
from nas.schedule import Resources, run_on_ray
from nas.trial import Job, Outcome, Trial
from netadapt.shrink import Shrink
from netadapt.weights import inherit
from search_spaces import REFERENCES
from search_spaces.network import build


def fresh_shrink(latency: Remembering) -> Shrink:
    """MobileNetV3-Large on the way to half its latency."""
    spec = REFERENCES["mobilenet_v3_large"]()
    full_ms = latency(spec)
    return Shrink(spec, accuracy=0.75, latency=latency, target_ms=full_ms / 2, delta=0.05)


def one_step() -> dict[str, float]:
    """Seconds of each part of (a), and the peak memory."""
    latency = Remembering(MaddsEstimate(10.0))
    shrink = fresh_shrink(latency)
    weights = build(shrink.current.spec).state_dict()
    begin = time.perf_counter()
    proposals = shrink.next_step().proposals
    proposed = time.perf_counter()
    for proposal in proposals:
        inherit(shrink.current.spec, weights, proposal.spec)
    inherited = time.perf_counter()
    return {
        "proposals": len(proposals),
        "asked": len(latency.readings),
        "propose_s": proposed - begin,
        "inherit_s": inherited - proposed,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


class Sleeping:
    """Trains for 7.5 to 12.5 seconds without using a core, then hands the parent's weights back."""

    def __init__(self, mean_s: float) -> None:
        self.mean_s = mean_s

    def __call__(self, job: Job) -> Outcome:
        seconds = self.mean_s * (0.75 + 0.5 * (job.index * 37 % 100) / 100)
        time.sleep(seconds)
        return Outcome(0.5, train_s=seconds, weights=getattr(job, "weights", None))


class Stopwatch(AdaptWatcher):
    """Notes when a step began to train and when its last proposal was kept."""

    def __init__(self) -> None:
        self.first_s = self.last_s = self.trained_s = 0.0
        self.proposals = 0

    def tuned(self, trial: Trial, name: str, *, replayed: bool) -> None:  # noqa: ARG002
        self.last_s = time.perf_counter()
        train_s = float(trial.time["train_s"])
        self.first_s = self.first_s or self.last_s - train_s
        self.trained_s += train_s
        self.proposals += 1

    def chosen(self, shrink: Shrink, trial: Trial) -> None:  # noqa: ARG002
        raise StopIteration  # one step is enough


def utilisation(*, workers: int, mean_s: float) -> tuple[float, int]:
    """Share of the workers' time over one step that trains, and the step's proposals."""
    watch, latency = Stopwatch(), Remembering(MaddsEstimate(10.0))
    shrink = fresh_shrink(latency)
    serialized = _bytes(build(shrink.current.spec).state_dict())
    with tempfile.TemporaryDirectory() as folder:
        loop = AdaptLoop(
            shrink,
            latency=latency,
            weights=serialized,
            folder=RunFolder(Path(folder)),
            run_seed=0,
            finals=(),
            watcher=watch,
        )
        with contextlib.suppress(StopIteration):
            run_on_ray(loop, Sleeping(mean_s), Resources(workers=workers))
    return watch.trained_s / (workers * (watch.last_s - watch.first_s)), watch.proposals


def _bytes(weights: dict[str, torch.Tensor]) -> bytes:
    import io

    buffer = io.BytesIO()
    torch.save(weights, buffer)
    return buffer.getvalue()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--mean-s", type=float, default=10.0, help="seconds a proposal of (b)")
    parser.add_argument("--workers", type=int, default=2, help="of (b)")
    parser.add_argument("--step", action="store_true", help="only (a), as JSON")
    options = parser.parse_args()
    if options.step:
        print(json.dumps(one_step()))
        return
    command = [sys.executable, "-m", "benchmarks.netadapt_step", "--step"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    row = json.loads(done.stdout)
    print(
        f"{row['proposals']} proposals, {row['asked']} networks asked for: {row['propose_s']:.2f} s; "
        f"their weights: {row['inherit_s']:.2f} s; peak {row['peak_mib']:.0f} MiB"
    )
    share, proposals = utilisation(workers=options.workers, mean_s=options.mean_s)
    print(
        f"{options.workers} workers, a step of {proposals} proposals of {options.mean_s:g} s: "
        f"{share:.1%} of their time trained"
    )


if __name__ == "__main__":
    main()
