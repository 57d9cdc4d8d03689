"""How much other programs slow unlike networks, and whether the probes tell.

    python -m benchmarks.latency.busy_states            # twelve networks in six states, twice: four minutes

In each state (nothing else; one or two processes that multiply matrices, count, or copy memory) all
networks and the probes of `latency.measuring.probes` are measured interleaved. Reported are, relative to
the first state: by which factors the anchor and the probes are slowed, how far apart that is, and by how
much the ratios of all pairs of networks have changed (median, and 95th percentile). The probes tell if they
are as far apart as that percentile.
"""

import argparse
import itertools
import multiprocessing
import time
from collections.abc import Callable, Sequence

import numpy as np

from benchmarks.latency.repeatability import busy
from latency import Measured, Timing
from latency.measuring.anchor import ANCHOR
from latency.measuring.probes import PROBES
from latency.runtimes.onnx_runtime import OnnxRuntime
from search_spaces import REFERENCES, ArchSpec

NETWORKS = (
    ("mobilenet_v3_large", 1.0, 224), ("mobilenet_v3_small", 1.0, 224), ("mobilenet_v2", 1.0, 224),
    ("mobilenet_v1", 1.0, 224), ("mobilenet_v2", 1.0, 96), ("mobilenet_v2", 1.0, 64),
    ("mobilenet_v3_large", 1.0, 96), ("mobilenet_v3_small", 1.0, 96), ("mobilenet_v2", 0.5, 96),
    ("mobilenet_v2", 0.35, 224), ("mobilenet_v3_small", 0.5, 224), ("mobilenet_v3_large", 0.75, 160),
)  # fmt: skip
"""Reference, width and resolution."""


def counting() -> None:
    """Keep a core busy without memory."""
    number = 0
    while True:
        number += 1


def copying() -> None:
    """Keep a core busy with memory alone."""
    source, copy = np.ones(32_000_000), np.zeros(32_000_000)
    while True:
        np.copyto(copy, source)


STATES: dict[str, Sequence[Callable[[], None]]] = {
    "nothing else": (),
    "1 multiplies matrices": (busy,),
    "2 multiply matrices": (busy, busy),
    "2 count": (counting, counting),
    "1 copies memory": (copying,),
    "2 copy memory": (copying, copying),
}


def medians_ms(
    source: Measured, models: Sequence[bytes], others: Sequence[Callable[[], None]]
) -> list[float]:
    """Return the median latency of each network while others run."""
    running = [multiprocessing.Process(target=other, daemon=True) for other in others]
    for process in running:
        process.start()
    time.sleep(1.5)
    readings = source.measure(models)
    for process in running:
        process.kill()
        process.join()
    return [reading.latency.median_ms for reading in readings]


def row(name: str, slowed: Sequence[float]) -> str:
    """Return a state's row.

    Args:
        name: The state.
        slowed: Factors of the anchor, the probes, and the networks.
    """
    known, networks = slowed[: 1 + len(PROBES)], slowed[1 + len(PROBES) :]
    pairs = [max(a, b) / min(a, b) for a, b in itertools.combinations(networks, 2)]
    middle, most = np.percentile(pairs, [50, 95])
    factors = ", ".join(f"{factor:.2f}" for factor in known)
    span = f"{min(networks):.2f} to {max(networks):.2f}"
    return f"| {name} | {factors} | {max(known) / min(known):.2f} | {span} | {middle:.2f} | {most:.2f} |"


def specs() -> list[ArchSpec]:
    """Return the anchor, the probes and the networks."""
    networks = [REFERENCES[name](width=width, resolution=px) for name, width, px in NETWORKS]
    return [ANCHOR, *PROBES, *networks]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=2)
    repeats = parser.parse_args().repeats
    runtime = OnnxRuntime()
    source = Measured(runtime, timing=Timing(retries=0))
    models = [runtime.export(spec) for spec in specs()]
    print(f"{runtime.device.name}: slowdowns relative to the first state\n")
    print(
        "| what else runs | anchor, computing, reading | apart | networks "
        "| ratios of pairs change by, median | 95% |"
    )
    print("|---" * 6 + "|")
    quiet: list[float] = []
    for _ in range(repeats):
        for name, others in STATES.items():
            now = medians_ms(source, models, others)
            quiet = quiet or now
            print(row(name, [ms / best for ms, best in zip(now, quiet, strict=True)]), flush=True)


if __name__ == "__main__":
    main()
