"""Error of latencies summed over pieces, on networks as NetAdapt proposes them.

    python -m benchmarks.latency.pieces mobilenet_v2 mobilenet_v2:ssdlite mobilenet_v2:lraspp --device cpu

The network itself calibrates the sums. Versions of it with random narrower widths are estimated, then
measured.
"""

import argparse
import random

import numpy as np

from latency import Measured, open_device
from latency.estimates.lazy_table import LazyTable
from latency.estimates.profile import errors
from nas.cli.specs import Changes, open_spec
from netadapt import Widths, narrowed, width_groups
from search_spaces import ArchSpec, InputError

WIDTHS = Widths()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("networks", nargs="+", help="NAME or NAME:HEAD, as nas show takes them")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--resolution", type=int, default=224)
    parser.add_argument("--narrower", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    source = open_device(args.device)
    if not isinstance(source, Measured):
        raise InputError(f"--device {args.device} does not measure: give for instance cpu")
    print("network, MAPE, Kendall's tau, within 10%")
    for name in args.networks:
        spec = open_spec(name, Changes(resolution=args.resolution))
        draw = random.Random(args.seed)
        specs = [drawn(spec, draw) for _ in range(args.narrower)]
        mape, tau, within = judged(LazyTable(source, reference=spec), specs)
        print(f"{name}, {100 * mape:.1f}%, {tau:.2f}, {100 * within:.0f}%")


def drawn(spec: ArchSpec, draw: random.Random) -> ArchSpec:
    """Return the network with every width between a half and all of its own."""
    seed = spec
    for index, whole in enumerate(width_groups(seed)):
        group = width_groups(spec)[index]
        allowed = [width for width in WIDTHS.below(whole.width) if 2 * width >= whole.width]
        spec = narrowed(spec, group, draw.choice([*allowed, whole.width]), seed=seed)
    return spec


def judged(table: LazyTable, specs: list[ArchSpec]) -> tuple[float, float, float]:
    """Return the mean relative error of a table's estimates, Kendall's tau, and the part within 10%."""
    estimated = np.array([table.latency(spec).median_ms for spec in specs])
    measured = np.array([table.confirm(spec).median_ms for spec in specs])
    return errors(estimated, measured)


if __name__ == "__main__":
    main()
