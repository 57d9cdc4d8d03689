"""Ablation of the screened controller: best after 100 trials with one part changed.

MOBILE_NAS_BENCH=FOLDER python -m benchmarks.controllers.controller_ablation
"""

import argparse
import os
import random
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from unittest.mock import patch

import torch

from benchmarks.controllers.compare_controllers import interval
from benchmarks.controllers.controller_tables import MakeTable, tables
from benchmarks.controllers.searches import curve, search
from controllers import Tokens
from controllers.reinforce import Reinforce
from controllers.surrogate import Surrogate
from controllers.uniform import draw_uniform

TABLES = ("anb", "nk", "blocks", "macro, noisy")
TRIALS = 100
EXPLORED = 0.2  # share of the batch that the prototype drew at random


def uniform_proposals(policy: Reinforce, n: int) -> list[Tokens]:
    """Replacement of Reinforce.ask."""
    seed = int(torch.randint(2**31, (), generator=policy._generator))
    rng = random.Random(seed)
    return [draw_uniform(policy.arities, rng) for _ in range(n)]


def highest_estimates(
    model: Surrogate,
    candidates: Sequence[Tokens],
    *,
    n: int,
    generator: torch.Generator,
    **_: object,
) -> list[Tokens]:
    """Replacement of most_improving: a fixed fraction of exploration, without uncertainty."""
    mean, _std = model.estimate(candidates)
    ranked = sorted(range(len(candidates)), key=lambda index: -mean[index])
    first = ranked[: n - round(EXPLORED * n)]
    rest = ranked[len(first) :]
    drawn = torch.randperm(len(rest), generator=generator)[: n - len(first)].tolist()
    return [candidates[index] for index in [*first, *(rest[place] for place in drawn)]]


def thompson(
    model: Surrogate,
    candidates: Sequence[Tokens],
    *,
    n: int,
    generator: torch.Generator,
    **_: object,
) -> list[Tokens]:
    """Replacement of most_improving: the best of one sampled function per place."""
    functions = model.sample(candidates, n, generator=generator)  # (candidates, n)
    chosen: list[int] = []
    for function in functions.T:
        function[chosen] = -torch.inf
        chosen.append(int(function.argmax()))
    return [candidates[index] for index in chosen]


VARIANTS: Mapping[str, Mapping[str, object]] = {
    "as it is": {},
    "no children": {"controllers.screened.ROUNDS": 0},
    "uniform proposals": {"controllers.reinforce.Reinforce.ask": uniform_proposals},
    "policy does not learn": {"controllers.reinforce.Reinforce.tell": lambda *_: None},
    "one weight for all decisions": {"controllers.kernel.SHARE_PRIOR": (0.0, 1e-3)},
    "highest estimates, a fifth at random": {
        "controllers.screened.most_improving": highest_estimates
    },
    "Thompson sampling": {"controllers.screened.most_improving": thompson},
}


def best(changes: Mapping[str, object], make_table: MakeTable, seed: int) -> float:
    """Return the best true value after ``TRIALS`` trials of one search."""
    with ExitStack() as stack:
        for name, value in changes.items():
            stack.enter_context(patch(name, value))
        trials = search("screened", make_table(seed), seed=seed, batch=10, trials=TRIALS)
        return curve(trials)[-1]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=20, help="searches per variant and table")
    seeds = range(parser.parse_args().seeds)
    folder = os.environ.get("MOBILE_NAS_BENCH")
    known = tables(Path(folder) if folder else None)
    chosen = [name for name in TABLES if name in known]
    print("| changed | " + " | ".join(chosen) + " |")
    print("|---" * (1 + len(chosen)) + "|", flush=True)
    for variant, changes in VARIANTS.items():
        cells = [interval([best(changes, known[name], seed) for seed in seeds]) for name in chosen]
        print(f"| {variant} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
