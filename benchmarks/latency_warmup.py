"""What a policy warmed up on latency alone gains a search, on Accel-NASBench.

    MOBILE_NAS_BENCH=FOLDER python -m benchmarks.latency_warmup

Searches with the reward ACC * (LAT/T)^-0.15 on a ZCU102, its target T at several quantiles of the
measured latencies. Warmed up, the policy knows multiply-adds alone, by the power law through ten of the
measured networks (`nas.latency_warmup`). For each controller: how many of the first twenty trials are
within a factor of 1.5 about the target; the highest true reward after 10, 20, 50 and 100 trials; and what
a search of 50 would return, the highest accuracy of a network within the target, with the part of the
searches that have none (it counts as 0). Means over seeds with 95% intervals; readings without noise.
"""

import argparse
import math
import os
import random
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import linear_regression

import torch

from benchmarks.compare_controllers import interval
from benchmarks.controller_tables import (
    ANB_ARITIES,
    ANB_EXPONENT,
    anb_latency_ms,
    anb_surrogate,
)
from controllers import CanWarmUp, Tokens, make_controller

QUANTILES = (0.02, 0.1, 0.5)
WAYS = (("uniform", False), ("rnn", False), ("rnn", True), ("screened", False), ("screened", True))
BUDGETS = (10, 20, 50, 100)
NEAR = 1.5
LOOKED_AT = 10
WITHIN = 50  # trials of which the most accurate within the target is told


@cache
def figures(tokens: Tokens) -> tuple[float, float, float]:
    """Top-1 in %, latency in ms, multiply-adds in millions."""
    return _surrogate()(tokens)


@cache
def _folder() -> Path:
    return Path(os.environ["MOBILE_NAS_BENCH"])


@cache
def _surrogate() -> Callable[[Tokens], tuple[float, float, float]]:
    return anb_surrogate(_folder())


@dataclass(frozen=True)
class Task:
    """One search."""

    quantile: float
    controller: str
    warm: bool
    seed: int


def search(task: Task) -> list[float]:
    """Trials near the target; best reward by budget; best accuracy within it, and if there is none."""
    torch.set_num_threads(1)
    target_ms = anb_latency_ms(_folder(), quantile=task.quantile)
    controller = make_controller(task.controller, ANB_ARITIES, seed=task.seed)
    if task.warm:
        assert isinstance(controller, CanWarmUp)
        power, intercept = _law(random.Random(f"looked at {task.seed}"))

        def score(tokens: Tokens) -> float:
            log_ms = intercept + power * math.log(figures(tokens)[2])
            return -max(0.0, log_ms - math.log(target_ms))

        controller.warm_up(score, enough=0.0)
    trials: list[tuple[float, float, float]] = []  # reward, top-1, latency over target
    while len(trials) < max(BUDGETS):
        told = []
        for tokens in controller.ask(10):
            top1, ms, _ = figures(tokens)
            reward = top1 * (ms / target_ms) ** ANB_EXPONENT
            told.append((tokens, reward))
            trials.append((reward, top1, ms / target_ms))
        controller.tell(told)
    near = sum(1 / NEAR <= over <= NEAR for _, _, over in trials[:20])
    within = [top1 for _, top1, over in trials[:WITHIN] if over <= 1.0]
    best = [max(reward for reward, _, _ in trials[:n]) for n in BUDGETS]
    return [near, *best, max(within, default=0.0), not within]


def _law(luck: random.Random) -> tuple[float, float]:
    """Power and logarithm of the scale, through a few networks that are measured."""
    looked_at = [tuple(luck.randrange(a) for a in ANB_ARITIES) for _ in range(LOOKED_AT)]
    points = [figures(tokens) for tokens in looked_at]
    power, intercept = linear_regression(
        [math.log(madds) for _, _, madds in points], [math.log(ms) for _, ms, _ in points]
    )
    return power, intercept


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes")
    given = parser.parse_args()
    if "MOBILE_NAS_BENCH" not in os.environ:
        raise SystemExit("MOBILE_NAS_BENCH is not set: name the folder that holds anb/")
    titles = [
        "near, of 20",
        *(f"N={n}" for n in BUDGETS),
        f"accuracy within, N={WITHIN}",
        "none within",
    ]
    print("| target: quantile | controller | " + " | ".join(titles) + " |")
    print("|---" * (2 + len(titles)) + "|")
    with ProcessPoolExecutor(given.jobs) as pool:
        for quantile in QUANTILES:
            for name, warm in WAYS:
                tasks = [Task(quantile, name, warm, seed) for seed in range(given.seeds)]
                columns = zip(*pool.map(search, tasks), strict=True)
                row = " | ".join(map(interval, columns))
                print(
                    f"| {quantile:g} | {name}{', warmed up' if warm else ''} | {row} |", flush=True
                )


if __name__ == "__main__":
    main()
