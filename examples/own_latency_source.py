"""A latency source of your own: a device whose memory is the bottleneck.

Each layer reads its input and weights and writes its output, at a fixed bandwidth. In its place,
`latency` may look a network up in a table, or measure it on your board.

    python examples/own_latency_source.py --gb-per-s 4 --target-ms 12

For `--device traffic:4`, install a package beside mobile-nas with this in its pyproject.toml:

    [project.entry-points."mobile_nas.latency"]
    traffic = "my_package.my_module:traffic"
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from controllers import make_controller
from latency import Device, Latency, check_latency_source
from nas import search
from nas.data.load import load_dataset
from nas.searching.config import FinalsConfig
from nas.training.recipe import Recipe
from search_spaces import REFERENCES, ArchSpec, InputError, load_space
from search_spaces.cost import Layer, layers_by_stage


class MemoryTraffic:
    """Bytes moved over a bandwidth, in GB/s: a `LatencySource`."""

    def __init__(self, gb_per_s: float) -> None:
        if not 0 < gb_per_s < float("inf"):
            raise InputError(f"bandwidth must be above 0, got {gb_per_s:g}: give GB/s")
        self.gb_per_s = gb_per_s
        self.device = Device(f"memory at {gb_per_s:g} GB/s", f"traffic-{gb_per_s:g}", estimate=True)

    def latency(self, spec: ArchSpec) -> Latency:
        """Time of all layers, one after another."""
        layers = [layer for _, stage in layers_by_stage(spec) for layer in stage]
        return Latency.exactly(sum(map(traffic_bytes, layers)) / self.gb_per_s / 1e6, self.device)


def traffic_bytes(layer: Layer) -> int:
    """Input, output and weights, each once, of four bytes a number."""
    return 4 * (layer.cin * layer.in_px**2 + layer.cout * layer.out_px**2 + layer.params)


def traffic(argument: str) -> MemoryTraffic:
    """What the entry point names: from the text after `traffic:` to the source."""
    try:
        gb_per_s = float(argument)
    except ValueError as error:
        raise InputError(f"traffic needs GB/s, got {argument!r}: give traffic:4, say") from error
    return MemoryTraffic(gb_per_s)


def main(argv: Sequence[str] | None = None) -> None:
    """Check the source, search with it, print the winner."""
    parser = argparse.ArgumentParser(description="Search with a latency source of one's own.")
    parser.add_argument("--gb-per-s", type=float, default=4.0)
    parser.add_argument("--target-ms", type=float, default=12.0)
    parser.add_argument("--space", default="mnasnet", help="mnasnet or a YAML file")
    parser.add_argument("--trials", type=int, default=8)
    parser.add_argument("--steps", type=int, default=30, help="training steps a trial")
    parser.add_argument("--folder", type=Path, default=Path("runs/own-latency"))
    args = parser.parse_args(argv)
    source = MemoryTraffic(args.gb_per_s)
    small, large = (REFERENCES[f"mobilenet_v3_{size}"]() for size in ("small", "large"))
    check_latency_source(source, small, large)
    data = load_dataset("fashion-mnist-subset")
    space = load_space(args.space, resolution=data.resolution_px, classes=len(data.classes))
    result = search(
        space,
        controller=make_controller("evolution", space.arities, seed=0),
        latency=source,
        data=data,
        target_ms=args.target_ms,
        folder=args.folder,
        recipe=Recipe(steps=args.steps, batch_size=64),
        trials=args.trials,
        batch_size=4,
        finals=FinalsConfig(count=1, repeats=0),
    )
    print(f"winner: trial {result.winner.index}, see {result.folder.path}")


if __name__ == "__main__":
    main()
