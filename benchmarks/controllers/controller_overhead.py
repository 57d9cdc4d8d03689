"""Overhead of the controllers: milliseconds per trial after 100, 1,000 or 10,000 trials.

    python -m benchmarks.controllers.controller_overhead

MnasNet's 42 decisions, batches of 10, results computed instead of trained. The time is that of asking for
a batch and telling it, on one thread, the median of a few batches; CPU time, so that other load on the
machine matters little. The last row is the default controller as used in a search: with aliases merged,
and constrained to a latency estimated from MAdds.
"""

import argparse
import random
import statistics
import time

from benchmarks.controllers.controller_tables import MNASNET_ARITIES
from controllers import CONTROLLERS, CanMergeAliases, Controller, Tokens, make_controller
from controllers.uniform import draw_uniform
from nas.searching.latency_warmup import PowerLaw, guide
from search_spaces import load_space

TRIALS = (100, 1_000, 10_000)
BATCH = 10
LAW, TARGET_MS = PowerLaw(scale_ms=0.05, power=0.8, error=0.1), 2.0


def score(tokens: Tokens, luck: random.Random) -> float:
    """Return a learnable score with some noise."""
    return 0.5 + 0.01 * sum(tokens) + luck.gauss(0.0, 0.01)


def after_trials(name: str, trials: int, *, in_search: bool, luck: random.Random) -> Controller:
    """Return a controller that has learned from random trials, in batches."""
    controller = make_controller(name, MNASNET_ARITIES, seed=0)
    if in_search:
        space = load_space("mnasnet")
        assert isinstance(controller, CanMergeAliases)
        controller.merge_aliases(lambda tokens: space.encode(space.decode(tokens)))
        guide(controller, space, [LAW], [TARGET_MS])
    for _ in range(trials // BATCH):
        batch = [draw_uniform(MNASNET_ARITIES, luck) for _ in range(BATCH)]
        controller.tell([(tokens, score(tokens, luck)) for tokens in batch])
    return controller


def milliseconds_a_trial(name: str, trials: int, *, batches: int, in_search: bool = False) -> float:
    """Return the median time per trial over batches."""
    luck = random.Random(0)
    controller = after_trials(name, trials, in_search=in_search, luck=luck)
    times: list[float] = []
    for _ in range(batches):
        start = time.process_time()
        asked = controller.ask(BATCH)
        controller.tell([(tokens, score(tokens, luck)) for tokens in asked])
        times.append(1000 * (time.process_time() - start) / BATCH)
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batches", type=int, default=9, help="timed per figure")
    batches = parser.parse_args().batches
    print("| controller | " + " | ".join(f"{trials:,} trials" for trials in TRIALS) + " |")
    print("|---" * (1 + len(TRIALS)) + "|")
    rows = [*((name, False) for name in CONTROLLERS), ("screened", True)]
    for name, in_search in rows:
        figures = [
            milliseconds_a_trial(name, trials, batches=batches, in_search=in_search)
            for trials in TRIALS
        ]
        print(
            f"| {name}{', in a search' if in_search else ''} | "
            + " | ".join(f"{ms:.2f} ms" for ms in figures)
            + " |",
            flush=True,
        )


if __name__ == "__main__":
    main()
