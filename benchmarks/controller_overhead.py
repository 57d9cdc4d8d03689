"""What a controller itself costs: milliseconds a trial once 100, 1,000 or 10,000 trials are told.

    python -m benchmarks.controller_overhead

MnasNet's 42 decisions, batches of 10. Results are told, not trained for; the time is that of asking
for a batch and being told it, on one thread, the median of a few batches; processor time, so that
other work on the machine disturbs little. The last row is the default controller as a search has it: told
which sequences are one network, and kept within a latency that is guessed from multiply-adds.
"""

import argparse
import random
import statistics
import time

from benchmarks.controller_tables import MNASNET_ARITIES
from controllers import CONTROLLERS, CanMergeAliases, Controller, Tokens, make_controller
from controllers.uniform import draw_uniform
from nas.searching.latency_warmup import PowerLaw, guide
from search_spaces import load_space

TRIALS = (100, 1_000, 10_000)
BATCH = 10
LAW, TARGET_MS = PowerLaw(scale_ms=0.05, power=0.8, error=0.1), 2.0


def score(tokens: Tokens, luck: random.Random) -> float:
    """Any function that can be learned, with some noise."""
    return 0.5 + 0.01 * sum(tokens) + luck.gauss(0.0, 0.01)


def told(name: str, trials: int, *, in_search: bool, luck: random.Random) -> Controller:
    """A controller that has heard of so many random trials, in batches."""
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
    """Median over batches of the time that one trial of them takes."""
    luck = random.Random(0)
    controller = told(name, trials, in_search=in_search, luck=luck)
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
