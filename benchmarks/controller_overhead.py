"""What a controller itself costs: milliseconds a trial once 100, 1,000 or 10,000 trials are told.

    python -m benchmarks.controller_overhead

MnasNet's 42 decisions, batches of 10. Results are told, not trained for; the time is that of asking
for a batch and being told it, on one thread, the median of a few batches; processor time, so that
other work on the machine disturbs little.
"""

import argparse
import random
import statistics
import time

from benchmarks.controller_tables import MNASNET_ARITIES
from controllers import CONTROLLERS, Controller, Tokens, make_controller
from controllers.uniform import draw_uniform

TRIALS = (100, 1_000, 10_000)
BATCH = 10


def score(tokens: Tokens, luck: random.Random) -> float:
    """Any function that can be learned, with some noise."""
    return 0.5 + 0.01 * sum(tokens) + luck.gauss(0.0, 0.01)


def told(name: str, trials: int, *, luck: random.Random) -> Controller:
    """A controller that has heard of so many random trials, in batches."""
    controller = make_controller(name, MNASNET_ARITIES, seed=0)
    for _ in range(trials // BATCH):
        batch = [draw_uniform(MNASNET_ARITIES, luck) for _ in range(BATCH)]
        controller.tell([(tokens, score(tokens, luck)) for tokens in batch])
    return controller


def milliseconds_a_trial(name: str, trials: int, *, batches: int) -> float:
    """Median over batches of the time that one trial of them takes."""
    luck = random.Random(0)
    controller = told(name, trials, luck=luck)
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
    for name in CONTROLLERS:
        figures = [milliseconds_a_trial(name, trials, batches=batches) for trials in TRIALS]
        print(f"| {name} | " + " | ".join(f"{ms:.2f} ms" for ms in figures) + " |", flush=True)


if __name__ == "__main__":
    main()
