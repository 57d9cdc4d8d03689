"""Training speed with and without reusing the memory that a step frees.

    python -m benchmarks.overhead.kept_memory --resolution 28 64

Networks drawn from the MnasNet space train a few steps on random images on one CPU thread. Each has its own
process, since a process cannot switch back (`nas.training.machine.allocator`). Rounds alternate, so that
other load on the machine affects both sides alike. Reported are the median speeds, the ratio with its range
over networks, and the peak memory of each side.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from dataclasses import replace

import torch
from torch.nn import functional

from controllers import make_controller
from nas.training.machine.allocator import keep_freed_memory
from search_spaces import load_space
from search_spaces.network import build

STEPS = 6
WARM_UP_STEPS = 3


def train_here(network: int, px: int, batch_size: int, *, keep: bool) -> dict[str, float]:
    """Return images per second of a few steps in this process, and its peak memory."""
    if keep and not keep_freed_memory():
        raise SystemExit(
            "this C library cannot be told to keep memory: there is nothing to compare"
        )
    torch.set_num_threads(1)
    space = load_space("mnasnet", resolution=224, classes=10)
    tokens = make_controller("uniform", space.arities, seed=0).ask(network + 1)[network]
    module = build(replace(space.decode(tokens), resolution=px)).train()
    module.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(module.parameters())
    images = torch.rand(batch_size, 3, px, px).to(memory_format=torch.channels_last)
    labels = torch.zeros(batch_size, dtype=torch.long)
    begin = 0.0
    for step in range(WARM_UP_STEPS + STEPS):
        if step == WARM_UP_STEPS:
            begin = time.perf_counter()
        optimizer.zero_grad()
        functional.cross_entropy(module(images), labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    speed = STEPS * batch_size / (time.perf_counter() - begin)
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"images_per_s": speed, "peak_mib": peak_mib}


def train_apart(network: int, px: int, batch_size: int, *, keep: bool) -> dict[str, float]:
    """Do the same in a new process."""
    call = f"m.train_here({network}, {px}, {batch_size}, keep={keep})"
    code = f"import json, benchmarks.overhead.kept_memory as m; print(json.dumps({call}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--resolution", type=int, nargs="+", default=[28, 64], help="px")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--networks", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    print(
        "| px | images/s: kept | given back | kept / given back (networks) | MiB: kept | given back |"
    )
    print("|---|---|---|---|---|---|")
    for px in given.resolution:
        sides: dict[bool, list[list[dict[str, float]]]] = {True: [], False: []}
        for network in range(given.networks):
            rounds: dict[bool, list[dict[str, float]]] = {True: [], False: []}
            for _ in range(given.rounds):
                for keep in (True, False):
                    rounds[keep].append(train_apart(network, px, given.batch_size, keep=keep))
            for keep, figures in rounds.items():
                sides[keep].append(figures)
        speeds = {
            keep: [statistics.median(f["images_per_s"] for f in figures) for figures in each]
            for keep, each in sides.items()
        }
        ratios = [kept / back for kept, back in zip(speeds[True], speeds[False], strict=True)]
        peaks = {
            keep: max(f["peak_mib"] for figures in each for f in figures)
            for keep, each in sides.items()
        }
        print(
            f"| {px} | {statistics.median(speeds[True]):.0f} | {statistics.median(speeds[False]):.0f} "
            f"| {statistics.geometric_mean(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}) "
            f"| {peaks[True]:.0f} | {peaks[False]:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
