"""The gain of a latency estimate known before a search, on Accel-NASBench.

    MOBILE_NAS_BENCH=FOLDER python -m benchmarks.controllers.latency_warmup

Searches with the reward ACC * (LAT/T)^-0.15 on a ZCU102, with the target T at several quantiles of the
measured latencies. Only MAdds are known. A power law is fitted to the networks with the fewest and the most
MAdds and six random ones, as in a search (`nas.searching.latency_warmup`): a policy is warmed up on it, and
a controller that supports it is constrained to the target, with a margin in multiples of the law's error.
Reported for each way: MAdds per trial, to which training cost is roughly proportional; the highest true
reward after 10, 20, 50 and 100 trials; and the result of a search of 50, the highest accuracy within the
target, with the fraction of searches without one (counted as 0). Means over seeds with 95% intervals;
readings without noise.
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
from statistics import fmean, linear_regression

import torch

from benchmarks.controllers.compare_controllers import interval
from benchmarks.controllers.controller_tables import (
    ANB_ARITIES,
    ANB_EXPONENT,
    anb_latency_ms,
    anb_surrogate,
)
from controllers import CanConstrain, CanWarmUp, Tokens, make_controller
from nas.searching.planning.forecast import SAMPLED

QUANTILES = (0.02, 0.1, 0.5)
BUDGETS = (10, 20, 50, 100)
WITHIN = 50  # trials whose most accurate within the target is reported


@cache
def figures(tokens: Tokens) -> tuple[float, float, float]:
    """Return top-1 in %, latency in ms, and MAdds in millions."""
    return _surrogate()(tokens)


@cache
def _folder() -> Path:
    return Path(os.environ["MOBILE_NAS_BENCH"])


@cache
def _surrogate() -> Callable[[Tokens], tuple[float, float, float]]:
    return anb_surrogate(_folder())


@dataclass(frozen=True)
class Way:
    """A controller, and its use of MAdds; `margin` is in multiples of the law's error."""

    controller: str
    warm: bool = False
    margin: float | None = None

    def __str__(self) -> str:
        kept = f"kept within, margin {self.margin:g}" if self.margin is not None else ""
        return ", ".join(filter(None, [self.controller, "warmed up" if self.warm else "", kept]))


WAYS = (
    Way("uniform"),
    Way("uniform", margin=1.0),
    Way("rnn"),
    Way("rnn", warm=True),
    Way("screened"),
    Way("screened", warm=True),
    Way("screened", warm=True, margin=0.0),
    Way("screened", warm=True, margin=1.0),
    Way("screened", warm=True, margin=2.0),
)


@dataclass(frozen=True)
class Task:
    """One search."""

    quantile: float
    way: Way
    seed: int


@dataclass(frozen=True)
class Tried:
    """A trial: top-1 in % as read and true, latency in ms, MAdds in millions."""

    tokens: Tokens
    reading: float
    top1: float
    ms: float
    madds: float


def searched(task: Task, *, target_ms: float, trials: int, noise: float = 0.0) -> list[Tried]:
    """Run a search; readings of top-1 have normal noise in points."""
    torch.set_num_threads(1)
    controller, way = make_controller(task.way.controller, ANB_ARITIES, seed=task.seed), task.way
    law = Law(random.Random(f"looked at {task.seed}"))
    luck = random.Random(f"read {task.seed}")

    def score(tokens: Tokens) -> float:
        return -max(0.0, law(tokens) - math.log(target_ms))

    if way.warm:
        assert isinstance(controller, CanWarmUp)
        controller.warm_up(score, enough=0.0)
    if way.margin is not None:
        assert isinstance(controller, CanConstrain)
        controller.constrain(score, least=-way.margin * law.error)
    done: list[Tried] = []
    while len(done) < trials:
        batch = []
        for tokens in controller.ask(10):
            top1, ms, madds = figures(tokens)
            batch.append(Tried(tokens, top1 + luck.gauss(0.0, noise), top1, ms, madds))
        controller.tell([(t.tokens, rewarded(t.reading, t.ms, target_ms)) for t in batch])
        done += batch
    return done


def rewarded(top1: float, ms: float, target_ms: float) -> float:
    """Return ACC * (LAT/T)^w."""
    return top1 * math.pow(ms / target_ms, ANB_EXPONENT)


def target_of(quantile: float) -> float:
    """Return a quantile of the measured latencies in ms."""
    return anb_latency_ms(_folder(), quantile=quantile)


def search(task: Task) -> list[float]:
    """Return MAdds per trial, best reward by budget, and best accuracy within the target, if any."""
    target_ms = target_of(task.quantile)
    trials = searched(task, target_ms=target_ms, trials=max(BUDGETS))
    within = [trial.top1 for trial in trials[:WITHIN] if trial.ms <= target_ms]
    best = [max(rewarded(t.top1, t.ms, target_ms) for t in trials[:n]) for n in BUDGETS]
    cost = fmean(trial.madds for trial in trials[:WITHIN])
    return [cost, *best, max(within, default=0.0), not within]


@cache
def _extreme(of: Callable[..., Tokens]) -> Tokens:
    """Find the network of fewest or most MAdds, one decision at a time."""
    tokens: Tokens = (0,) * len(ANB_ARITIES)
    for position, arity in enumerate(ANB_ARITIES):
        options = [(*tokens[:position], t, *tokens[position + 1 :]) for t in range(arity)]
        tokens = of(options, key=lambda option: figures(option)[2])
    return tokens


class Law:
    """A power law of latency over MAdds, through a few measured networks."""

    def __init__(self, luck: random.Random) -> None:
        looked_at = [_extreme(min), _extreme(max)]
        looked_at += [tuple(luck.randrange(a) for a in ANB_ARITIES) for _ in range(SAMPLED)]
        points = [(math.log(madds), math.log(ms)) for _, ms, madds in map(figures, looked_at)]
        self.line = linear_regression(*zip(*points, strict=True))
        left_out = [
            linear_regression(*zip(*(p for p in points if p is not q), strict=True)) for q in points
        ]
        self.error = fmean(
            abs(y - line.slope * x - line.intercept)
            for (x, y), line in zip(points, left_out, strict=True)
        )

    def __call__(self, tokens: Tokens) -> float:
        return self.line.slope * math.log(figures(tokens)[2]) + self.line.intercept


def options(about: str | None, *, seeds: int = 50, measured: bool = True) -> argparse.Namespace:
    """Parse the command line: number of seeds, and processes.

    The measured tables must be available if they are used.
    """
    parser = argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=seeds)
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes")
    given = parser.parse_args()
    if measured and "MOBILE_NAS_BENCH" not in os.environ:
        raise SystemExit("MOBILE_NAS_BENCH is not set: name the folder that holds anb/")
    return given


def main() -> None:
    given = options(__doc__)
    titles = [
        f"M MAdds a trial, N={WITHIN}",
        *(f"N={n}" for n in BUDGETS),
        f"accuracy within, N={WITHIN}",
        "none within",
    ]
    print("| target: quantile | controller | " + " | ".join(titles) + " |")
    print("|---" * (2 + len(titles)) + "|")
    with ProcessPoolExecutor(given.jobs) as pool:
        for quantile in QUANTILES:
            for way in WAYS:
                tasks = [Task(quantile, way, seed) for seed in range(given.seeds)]
                columns = zip(*pool.map(search, tasks), strict=True)
                row = " | ".join(map(interval, columns))
                print(f"| {quantile:g} | {way} | {row} |", flush=True)


if __name__ == "__main__":
    main()
