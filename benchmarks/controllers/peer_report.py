"""Judge a controller against other libraries: its best after 60 trials beside each peer's after 100.

    # after compare_controllers --trials 100 --kept runs/peers.jsonl --controller screened --controller ...
    python -m benchmarks.controllers.peer_report runs/peers.jsonl

The first table has a row per problem, with its best peer: of those with enough seeds the one of highest
mean over the seeds that all of them have. The second has the difference to every peer. Differences are
paired by seed, over all seeds that both have; intervals are 95% of Student's t.
"""

import argparse
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from scipy.stats import t as student

from benchmarks.controllers.peers import PEERS
from benchmarks.controllers.searches import Found, Task, read_kept
from controllers import CONTROLLERS

Searches = Mapping[int, Found]
"""By seed."""


@dataclass(frozen=True)
class Interval:
    """A mean over seeds with half of its 95% interval."""

    mean: float
    half: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Interval":
        """Estimate it from at least two values, with Student's t."""
        error = statistics.stdev(values) / len(values) ** 0.5
        return cls(statistics.mean(values), float(student.ppf(0.975, len(values) - 1)) * error)

    @property
    def verdict(self) -> str:
        """Say whether a difference is beyond chance."""
        if abs(self.mean) <= self.half:
            return "level"
        return "ahead" if self.mean > 0 else "behind"


@dataclass(frozen=True)
class Comparison:
    """Ours and a peer over the seeds that both have.

    Attributes:
        seeds: Number of seeds.
        peer: The peer's best true value after its trials.
        ours: Ours after our trials.
        difference: Ours minus the peer's, by seed.
        enough: Fewest trials after which our mean is at least the peer's; None if it never is.
        peer_s: CPU seconds of the peer in its trials.
        ours_s: CPU seconds of ours in our trials.
    """

    seeds: int
    peer: Interval
    ours: Interval
    difference: Interval
    enough: int | None
    peer_s: float
    ours_s: float


def compare(ours: Searches, peer: Searches, *, our_trials: int, peer_trials: int) -> Comparison:
    """Compare by seed."""
    seeds = sorted(ours.keys() & peer.keys())
    theirs = [peer[seed].curve[peer_trials - 1] for seed in seeds]
    mine = [ours[seed].curve[our_trials - 1] for seed in seeds]
    means = list(map(statistics.mean, zip(*(ours[seed].curve for seed in seeds), strict=False)))
    goal = statistics.mean(theirs)
    return Comparison(
        seeds=len(seeds),
        peer=Interval.of(theirs),
        ours=Interval.of(mine),
        difference=Interval.of([own - other for own, other in zip(mine, theirs, strict=True)]),
        enough=next((n for n, mean in enumerate(means, start=1) if mean >= goal), None),
        peer_s=_mean_seconds([peer[seed] for seed in seeds], peer_trials),
        ours_s=_mean_seconds([ours[seed] for seed in seeds], our_trials),
    )


def _mean_seconds(each: Sequence[Found], trials: int) -> float:
    return statistics.mean(found.overhead_s[trials - 1] for found in each)


def best_peer(peers: Mapping[str, Searches], *, trials: int, least_seeds: int) -> str:
    """Return the peer of highest mean over the seeds that all peers with `least_seeds` have."""
    enough = {name: each for name, each in peers.items() if len(each) >= least_seeds}
    if not enough:
        raise SystemExit(f"no peer has {least_seeds} seeds: lower --least-seeds")
    shared = set.intersection(*map(set, enough.values()))
    if not shared:
        raise SystemExit(f"no seed was run by all of {', '.join(enough)}")
    return max(
        enough, key=lambda name: statistics.mean(enough[name][s].curve[trials - 1] for s in shared)
    )


def by_table(found: Mapping[Task, Found]) -> dict[str, dict[str, dict[int, Found]]]:
    """Group searches by table, controller and seed."""
    groups: dict[str, dict[str, dict[int, Found]]] = defaultdict(lambda: defaultdict(dict))
    for task, result in found.items():
        if not result.overhead_s:
            raise SystemExit(f"{task} was run by an older version, without CPU time: remove it")
        groups[task.table][task.controller][task.seed] = result
    return groups


def print_best(comparisons: Mapping[str, tuple[str, Comparison]], titles: Sequence[str]) -> None:
    """Print ours beside the best peer of each table."""
    print("| " + " | ".join(titles) + " |")
    print("|---" * len(titles) + "|")
    for table, (name, c) in comparisons.items():
        cells = [table, name, str(c.seeds), _plain(c.peer), _plain(c.ours)]
        cells += [f"{_signed(c.difference)}, {c.difference.verdict}"]
        cells += ["never" if c.enough is None else str(c.enough)]
        cells += [f"{c.peer_s:.2f}", f"{c.ours_s:.2f}"]
        print("| " + " | ".join(cells) + " |")


def _plain(value: Interval) -> str:
    return f"{value.mean:.3f} ± {value.half:.3f}"


def _signed(value: Interval) -> str:
    return f"{value.mean:+.3f} ± {value.half:.3f}"


def print_all(comparisons: Mapping[str, Mapping[str, Comparison]]) -> None:
    """Print the difference to each peer on each table, with the number of seeds."""
    names = list(dict.fromkeys(name for each in comparisons.values() for name in each))
    print("| table | " + " | ".join(names) + " |")
    print("|---" * (1 + len(names)) + "|")
    for table, each in comparisons.items():
        cells = [
            f"{_signed(each[n].difference)} ({each[n].seeds})" if n in each else "-" for n in names
        ]
        print(f"| {table} | " + " | ".join(cells) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("kept", type=Path, help="JSONL file of compare_controllers")
    parser.add_argument("--ours", default="screened", choices=list(CONTROLLERS))
    parser.add_argument("--our-trials", type=int, default=60)
    parser.add_argument("--peer-trials", type=int, default=100)
    parser.add_argument("--least-seeds", type=int, default=10, help="of a best peer")
    given = parser.parse_args()
    budgets = {"our_trials": given.our_trials, "peer_trials": given.peer_trials}
    comparisons, best = {}, {}
    for table, controllers in by_table(read_kept(given.kept)).items():
        ours = controllers[given.ours]
        shared = {name: len(ours.keys() & controllers[name].keys()) for name in PEERS}
        peers = {name: controllers[name] for name, seeds in shared.items() if seeds > 1}
        comparisons[table] = {name: compare(ours, peer, **budgets) for name, peer in peers.items()}
        chosen = best_peer(peers, trials=given.peer_trials, least_seeds=given.least_seeds)
        best[table] = (chosen, comparisons[table][chosen])
    titles = ["table", "best peer", "seeds", f"peer, N={given.peer_trials}"]
    titles += [f"{given.ours}, N={given.our_trials}", "difference", "trials for the peer's mean"]
    print_best(best, [*titles, "peer, CPU s", f"{given.ours}, CPU s"])
    print(f"\n{given.ours} at {given.our_trials} minus each peer at {given.peer_trials} (seeds):\n")
    print_all(comparisons)


if __name__ == "__main__":
    main()
