"""Search the sub-networks of a pretrained network on your own photos, through the Python API.

The folder has one folder of photos for each class, or `train`, `val` and `test` folders above them. Run it,
and run the same again to go on after an interruption:

    python examples/sub_networks.py photos --resolutions 64 96 --target-ms 1.5 --minutes 45

The parent is MobileNetV2 with the ImageNet weights in the package; `--parent` takes what `nas import`
makes. Without `--target-ms` the target is half of the parent's latency on this machine's CPU.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from controllers import make_controller
from latency import Cached, open_device
from nas import SearchedParent, search
from nas.checkpoints.checkpoint import load_checkpoint
from nas.checkpoints.importing.embedded import embedded_checkpoint
from nas.data.load import open_source
from nas.engine.schedule_config import ScheduleConfig
from search_spaces import ElasticSpace, InputError


def main(argv: Sequence[str] | None = None) -> None:
    """Search, then print whether it was worth it, and what to ship."""
    args = _parser().parse_args(argv)
    photos = open_source(args.photos)
    parent = embedded_checkpoint() if args.parent is None else load_checkpoint(args.parent)
    space = ElasticSpace.of(
        parent.spec, classes=len(photos.classes), resolutions=tuple(args.resolutions)
    )
    images = {px: photos.at(px) for px in space.resolutions}
    source = Cached(open_device(args.device))  # no network is measured twice
    # A resumed run keeps its target: a new measurement would differ a little.
    begun = args.folder / "run.json"
    kept = json.loads(begun.read_text())["target_ms"] if begun.exists() else None
    target_ms = args.target_ms or kept or source.latency(space.parent).median_ms / 2
    result = search(
        space,
        controller=make_controller("screened", space.arities, seed=0),
        latency=source,
        data=images[max(images)],  # of the largest size
        final_data=images,
        target_ms=target_ms,
        folder=args.folder,
        schedule=ScheduleConfig(workers=args.workers),
        parent=SearchedParent(parent, kept=args.folder.parent / "parents"),
        trials=args.trials,
        wall_time=None if args.trials else 60 * args.minutes,
    )
    if result.verdict is not None:
        print(*result.verdict.sentences())
    print(f"see {result.folder.path}: seed.pt, best.onnx, report.html")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Search a pretrained network's sub-networks.")
    parser.add_argument("photos", help="folder of class folders")
    parser.add_argument("--folder", type=Path, default=Path("runs/sub-networks"))
    parser.add_argument("--parent", type=Path, help="default: MobileNetV2, in the package")
    parser.add_argument("--resolutions", type=int, nargs="+", default=[64, 96], metavar="PX")
    parser.add_argument("--device", default="cpu", help="as nas devices lists them")
    parser.add_argument("--target-ms", type=float, help="default: half of the parent's")
    parser.add_argument("--minutes", type=float, default=45, help="of the whole search")
    parser.add_argument("--trials", type=int, help="in place of --minutes")
    parser.add_argument("--workers", type=int, default=0, help="trials at once; 0: no Ray")
    return parser


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        sys.exit(f"sub_networks.py: {error}")
