"""Error of a lookup table on held-out networks, and the cost of a lookup.

    nas profile --device cpu --also mobilenet_v3_large ... -o table.jsonl
    python -m benchmarks.latency.lookup_table table.jsonl --device cpu

Measures random networks of the MnasNet space, drawn with another seed than the table's, and the reference
networks whose pieces the table has.
"""

import argparse
import random
import time
from pathlib import Path

import numpy as np

from latency import LatencySource, MeasurementError, open_device
from latency.estimates.profile import errors
from latency.estimates.table import LookupTable
from search_spaces import REFERENCES, ArchSpec, load_space

LOOKUPS = 200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", type=Path)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--networks", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1000)
    args = parser.parse_args()
    table, source = LookupTable(args.table), open_device(args.device)
    px = table.header.resolution
    space = load_space(table.header.space, resolution=px, classes=1000)
    draw = random.Random(args.seed)
    randoms = [
        space.decode(tuple(draw.randrange(arity) for arity in space.arities))
        for _ in range(args.networks)
    ]
    references = {name: make(resolution=px) for name, make in REFERENCES.items()}
    judge(f"{args.networks} random networks", dict(enumerate(randoms)), table, source)
    judge("reference networks", references, table, source, each=True)
    begin = time.perf_counter()
    for spec in randoms * (LOOKUPS // len(randoms) + 1):
        table.latency(spec)
    count = len(randoms) * (LOOKUPS // len(randoms) + 1)
    print(f"a lookup takes {(time.perf_counter() - begin) / count * 1e3:.3f} ms")


def judge(
    name: str,
    specs: dict[int, ArchSpec] | dict[str, ArchSpec],
    table: LookupTable,
    source: LatencySource,
    *,
    each: bool = False,
) -> None:
    """Print a table's errors on networks whose pieces it has."""
    estimates, measured = [], []
    for label, spec in specs.items():
        try:
            estimate = table.latency(spec).median_ms
        except MeasurementError as error:
            print(f"{label}: left out, {error}")
            continue
        estimates.append(estimate)
        measured.append(source.latency(spec).median_ms)
        if each:
            off = 100 * (estimates[-1] / measured[-1] - 1)
            print(
                f"{label}: {estimates[-1]:.3f} ms estimated, {measured[-1]:.3f} measured, {off:+.1f}%"
            )
    mape, tau, within = errors(np.array(estimates), np.array(measured))
    print(f"{name}: MAPE {100 * mape:.1f}%, tau {tau:.2f}, {100 * within:.0f}% within 10%")


if __name__ == "__main__":
    main()
