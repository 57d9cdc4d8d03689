"""Search on your own images, through the Python API.

The folder has one folder of images for each class, or `train`, `val` and `test` folders above them:

    photos/cat/1.jpg  photos/cat/2.jpg  photos/dog/1.jpg ...

Run it, and run the same again to go on after an interruption:

    python examples/own_images.py photos --trials 50 --folder runs/photos

Latency is measured on this machine's CPU. `--device madds:10` estimates it instead.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from controllers import make_controller
from latency import Cached, LatencySource, open_device
from nas import SearchResult, search
from nas.data.load import open_source
from nas.engine.schedule_config import ScheduleConfig
from nas.searching.config import FinalsConfig
from nas.searching.latency_warmup import PowerLaw
from nas.searching.planning.forecast import measure_span
from nas.searching.sizes import settle_sizes
from nas.training.recipe import Recipe
from search_spaces import REFERENCES, InputError, load_space


def main(argv: Sequence[str] | None = None) -> None:
    """Search, then print the winner."""
    args = _parser().parse_args(argv)
    images = open_source(args.images)
    sizes = settle_sizes(
        images.default_px(), resolution=args.resolution, proxy_resolution=args.proxy_resolution
    )
    data = images.at(sizes.proxy_px)  # trials train on small images, finalists on the deployed size
    final_data = images.at(sizes.deployed_px) if sizes.differ else data
    space = load_space(args.space, resolution=sizes.deployed_px, classes=len(data.classes))
    source = Cached(open_device(args.device))  # no network is measured twice
    # A run goes on with what it began with: measured anew, target and law would differ a little.
    begun = args.folder / "run.json"
    facts = json.loads(begun.read_text()) if begun.exists() else {}
    target_ms = args.target_ms or facts.get("target_ms")
    target_ms = target_ms or mobilenet_ms(source, sizes.deployed_px, len(data.classes))
    laws = [PowerLaw(**law) for law in facts.get("latency_warmup", [])]
    print(f"{data.name}: {len(data.train)} images to train on; target {target_ms:.3g} ms")
    result = search(
        space,
        controller=make_controller(args.controller, space.arities, seed=0),
        latency=source,
        data=data,
        final_data=final_data,
        target_ms=target_ms,
        folder=args.folder,
        # A training step needs a whole batch, and a small folder may have fewer images than that.
        recipe=Recipe(
            epochs=args.epochs,
            steps=args.steps,
            min_steps=None if args.steps else 200,
            batch_size=min(128, len(data.train)),
        ),
        trials=args.trials,
        batch_size=min(10, args.trials),
        finals=FinalsConfig(count=args.finalists),
        schedule=ScheduleConfig(workers=args.workers),
        # Latency by multiply-adds: the search keeps to networks that are about within the target.
        latency_warmup=laws or [PowerLaw.through(measure_span(space, source).points)],
    )
    print_winner(result)


def mobilenet_ms(source: LatencySource, resolution_px: int, classes: int) -> float:
    """MobileNetV3-Large's latency: a fair budget where none is given."""
    network = REFERENCES["mobilenet_v3_large"](resolution=resolution_px, classes=classes)
    return source.latency(network).median_ms


def print_winner(result: SearchResult) -> None:
    """What was found, and where it lies."""
    winner = result.winner
    print(f"winner: trial {winner.index}, {winner.latency_ms:.3g} ms, {winner.params:,} parameters")
    if result.test_accuracy is not None:
        px = result.sizes.deployed_px
        print(f"accuracy on the test images: {result.test_accuracy:.1%} at {px} px")
    if result.noise is not None:
        print(result.noise.sentence())
    print(f"see {result.folder.path}: best.yaml, seed.pt, best.onnx, report.html")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Search on a folder of your own images.")
    parser.add_argument("images", help="folder of class folders")
    parser.add_argument("--folder", type=Path, default=Path("runs/own-images"))
    parser.add_argument("--space", default="mnasnet", help="mnasnet or a YAML file")
    parser.add_argument("--device", default="cpu", help="as nas devices lists them")
    parser.add_argument("--target-ms", type=float, help="default: MobileNetV3-Large's")
    parser.add_argument("--resolution", type=int, help="px on the device; default the images' own")
    parser.add_argument("--proxy-resolution", type=int, help="px in trials; default the same")
    parser.add_argument("--controller", default="screened", help="screened, rnn, ...")
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--finalists", type=int, default=3)
    parser.add_argument("--epochs", type=float, help="of a trial; default 5")
    parser.add_argument("--steps", type=int, help="of a trial, in place of --epochs")
    parser.add_argument("--workers", type=int, default=0, help="trials at once; 0: no Ray")
    return parser


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        sys.exit(f"own_images.py: {error}")
