"""Which reward finds the most accurate network within a target?

    MOBILE_NAS_BENCH=FOLDER python -m benchmarks.rewards

Screened searches of Accel-NASBench at several targets T on a ZCU102, warmed up and kept within as by
default (`latency_warmup.py`), readings with noise of one point; only the reward that the controller is
told differs. Each search returns the finalist that reads best a second time, among those of highest
estimated accuracy within the target (`finalists.py`). Told are its true top-1, and by how much that is
more than with the soft reward, seed by seed; its latency over the target; and the multiply-adds of a
trial: means over seeds with 95% intervals. A search with nothing within the target is left out of the
means and counted.
"""

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from statistics import fmean

from benchmarks.compare_controllers import interval, mean_and_half
from benchmarks.finalists import FINALISTS, NOISE, TRIALS, Returned, estimated, returned
from benchmarks.latency_warmup import QUANTILES, Task, Way, options, searched, target_of
from nas.reward import Reward

WAY = Way("screened", warm=True, margin=1.0)
REWARDS = {
    "soft": Reward(),
    "soft, w = -0.07": Reward(alpha=-0.07, beta=-0.07),
    "hard": Reward(kind="hard"),
    "absolute": Reward(kind="absolute"),
}


@dataclass(frozen=True)
class Search:
    """One search: its reward, by its name above."""

    reward: str
    quantile: float
    seed: int


@dataclass(frozen=True)
class Found:
    """After so many trials: what is returned, if anything, and multiply-adds a trial in millions."""

    returned: Returned | None
    madds: float


def solve(search: Search) -> dict[int, Found]:
    """What a search has found, by number of trials."""
    target_ms, kind = target_of(search.quantile), REWARDS[search.reward]

    def reward(top1: float, ms: float, target_ms: float) -> float:
        return kind(top1 / 100, ms, target_ms=target_ms)

    task = Task(search.quantile, WAY, search.seed)
    trials = searched(task, target_ms=target_ms, trials=max(TRIALS), noise=NOISE, reward=reward)
    found = {}
    for count in TRIALS:
        some = trials[:count]
        told = estimated(some)
        within = list({t.tokens: t for t in some if t.ms <= target_ms}.values())
        best = sorted(within, key=lambda t: told[t.tokens], reverse=True)[:FINALISTS]
        winner = returned(best, target_ms, seed=search.seed)
        found[count] = Found(winner, fmean(t.madds for t in some))
    return found


def main() -> None:
    given = options(__doc__)
    titles = ["none", "top-1", "gain over soft", "latency over T", "M MAdds a trial"]
    print("| target: quantile | trials | reward | " + " | ".join(titles) + " |")
    print("|---" * (3 + len(titles)) + "|")
    with ProcessPoolExecutor(given.jobs) as pool:
        for quantile in QUANTILES:
            searches = [
                Search(kind, quantile, seed) for kind in REWARDS for seed in range(given.seeds)
            ]
            done = dict(zip(searches, pool.map(solve, searches), strict=True))
            for count in TRIALS:
                for kind in REWARDS:
                    each = [
                        done[Search(kind, quantile, seed)][count] for seed in range(given.seeds)
                    ]
                    soft = [
                        done[Search("soft", quantile, seed)][count] for seed in range(given.seeds)
                    ]
                    print(f"| {quantile:g} | {count} | {kind} | {row(each, soft)} |", flush=True)


def row(each: list[Found], soft: list[Found]) -> str:
    """A reward's cells."""
    winners = [found.returned for found in each if found.returned is not None]
    pairs = [(a.returned, b.returned) for a, b in zip(each, soft, strict=True)]
    gains = [
        mine.top1 - theirs.top1 for mine, theirs in pairs if mine is not None and theirs is not None
    ]
    mean, half = mean_and_half(gains)
    return " | ".join(
        [
            str(len(each) - len(winners)),
            interval([winner.top1 for winner in winners]),
            f"{mean:+.3f} ± {half:.3f}",
            interval([winner.over for winner in winners]),
            interval([found.madds for found in each]),
        ]
    )


if __name__ == "__main__":
    main()
