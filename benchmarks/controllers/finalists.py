"""Choose finalists by estimated reward, or by estimated accuracy within the target?

    MOBILE_NAS_BENCH=FOLDER python -m benchmarks.controllers.finalists

Screened searches of Accel-NASBench with the reward ACC * (LAT/T)^-0.15 on a ZCU102, at several targets T,
warmed up and constrained as by default (`latency_warmup.py`); readings have a noise of one point. From the
same trials each rule chooses finalists among those within the target. They are read again with half the
noise, like a longer training; the most accurate reading wins. Reported are the winner's true accuracy and
its latency over the target: means over seeds with 95% intervals, and paired differences.
"""

import random
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

from benchmarks.controllers.compare_controllers import interval, mean_and_half
from benchmarks.controllers.controller_tables import ANB_ARITIES
from benchmarks.controllers.latency_warmup import (
    QUANTILES,
    Task,
    Tried,
    Way,
    options,
    rewarded,
    searched,
    target_of,
)
from controllers import Tokens
from controllers.surrogate import fit

TRIALS = (16, 50, 100)
FINALISTS = 3
NOISE = 1.0  # points
NOISE_LONGER = 0.5


@dataclass(frozen=True)
class Returned:
    """A rule's winner: true top-1 in %, and latency over the target."""

    top1: float
    over: float


Found = dict[tuple[int, str], Returned | None]
"""By number of trials and rule; None where nothing was within the target."""


def solve(task: Task) -> Found:
    """Run a search, and return what each rule chooses from its first trials."""
    target_ms = target_of(task.quantile)
    trials = searched(task, target_ms=target_ms, trials=max(TRIALS), noise=NOISE)
    found: Found = {}
    for count in TRIALS:
        some = trials[:count]
        estimates = estimated(some)
        within = list({t.tokens: t for t in some if t.ms <= target_ms}.values())
        worth = {
            "reward": {t.tokens: rewarded(estimates[t.tokens], t.ms, target_ms) for t in within},
            "accuracy": estimates,
        }
        for rule, by in worth.items():
            best = sorted(within, key=lambda t, by=by: by[t.tokens], reverse=True)[:FINALISTS]  # type: ignore[misc]
            found[count, rule] = returned(best, target_ms, seed=task.seed)
    return found


def estimated(trials: list[Tried]) -> dict[Tokens, float]:
    """Estimate top-1 in % of each network from all readings."""
    tokens = [t.tokens for t in trials]
    estimates, _ = fit(ANB_ARITIES, tokens, [t.reading for t in trials]).estimate(tokens)
    return dict(zip(tokens, estimates, strict=True))


def returned(finalists: list[Tried], target_ms: float, *, seed: int) -> Returned | None:
    """Return the best after a longer training; a network's noise is the same for both rules."""

    def longer(trial: Tried) -> float:
        return trial.top1 + random.Random(f"{seed} {trial.tokens}").gauss(0.0, NOISE_LONGER)

    if not finalists:
        return None
    winner = max(finalists, key=longer)
    return Returned(winner.top1, winner.ms / target_ms)


def main() -> None:
    given = options(__doc__)
    titles = ["top-1, by reward", "by accuracy", "gain", "latency over T, by reward", "by accuracy"]
    print("| target: quantile | trials | searches | " + " | ".join(titles) + " |")
    print("|---" * (3 + len(titles)) + "|")
    way = Way("screened", warm=True, margin=1.0)
    with ProcessPoolExecutor(given.jobs) as pool:
        for quantile in QUANTILES:
            tasks = [Task(quantile, way, seed) for seed in range(given.seeds)]
            each = list(pool.map(solve, tasks))
            for count in TRIALS:
                print(f"| {quantile:g} | {count} | {row(each, count)} |", flush=True)


def row(each: list[Found], count: int) -> str:
    """Format the cells of a number of trials, over the searches that returned something."""
    pairs = [(found[count, "reward"], found[count, "accuracy"]) for found in each]
    both = [(old, new) for old, new in pairs if old is not None and new is not None]
    if len(both) < 2:
        return f"{len(both)}" + " | -" * 5
    mean, half = mean_and_half([new.top1 - old.top1 for old, new in both])
    cells = [
        str(len(both)),
        *(interval([pair[rule].top1 for pair in both]) for rule in (0, 1)),
        f"{mean:+.3f} ± {half:.3f}",
        *(interval([pair[rule].over for pair in both]) for rule in (0, 1)),
    ]
    return " | ".join(cells)


if __name__ == "__main__":
    main()
