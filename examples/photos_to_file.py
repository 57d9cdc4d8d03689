"""From photos to a file that another program runs: search, train on, export, predict.

The folder has `train` and `test` with one folder of images for each class (without `val`, a part of `train`
is held out):

    python examples/photos_to_file.py photos --budget 10m

The last step needs nothing of mobile-nas: ONNX Runtime and Pillow read the file, feed it as its metadata
says, and count how many test photos it gets right. That count must match the accuracy that the search,
`nas train` and `nas evaluate` report.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from PIL import Image, ImageOps


def main(argv: Sequence[str] | None = None) -> None:
    """Run all steps; end with status 1 if the file is not as accurate as reported."""
    args, options = _parser().parse_known_args(argv)
    photos, runs = str(args.photos), str(args.runs)
    found = nas("search", "--data", photos, "--runs", runs, *options)
    run = Path(found["run"])
    report(
        "best.onnx of the search", run / "best.onnx", args.photos, reported=found["test_accuracy"]
    )

    longer = ["--epochs", str(args.epochs), "--batch-size", str(args.batch_size)]
    trained = nas("train", str(run / "seed.pt"), "--data", photos, *longer)
    exported = nas("export", trained["path"], "--onnx")
    file = Path(exported["path"])
    report(f"{file.name}, trained longer", file, args.photos, reported=trained["test_accuracy"])
    again = nas("evaluate", str(file), "--data", photos)
    report(f"{file.name}, by nas evaluate", file, args.photos, reported=again["accuracy"])


def nas(*arguments: str) -> Any:
    """Run a command and return the document that `--json` prints."""
    command = [sys.executable, "-m", "nas.cli.main", *arguments, "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False, text=True)
    if done.returncode:
        sys.exit(done.returncode)  # the command has said why
    return json.loads(done.stdout)


def report(name: str, file: Path, photos: Path, *, reported: float) -> None:
    """Print what a file gets right by itself, next to the reported accuracy."""
    right, count = accuracy(file, photos / "test")
    print(f"{name}: {right} of {count} test photos right, {reported:.1%} reported")
    if right != round(reported * count):
        sys.exit(f"{file} does not have the reported accuracy")


def accuracy(file: Path, folder: Path) -> tuple[int, int]:
    """Count the photos that an ONNX file gets right, without mobile-nas (docs/how-to/deploy.md)."""
    session = onnxruntime.InferenceSession(str(file))
    feed = json.loads(session.get_modelmeta().custom_metadata_map["mobile_nas"])
    photos = [path for path in sorted(folder.glob("*/*")) if path.is_file()]
    given = [feed["classes"][logits(session, feed, path).argmax()] for path in photos]
    return sum(path.parent.name == name for path, name in zip(photos, given, strict=True)), len(
        given
    )


def logits(session: Any, feed: dict[str, Any], path: Path) -> Any:
    """Classify a photo: (classes,)."""
    px, crop = feed["size_px"], feed.get("crop_fraction", 1)
    image = Image.open(path)
    image.draft(
        "RGB", 2 * (int(2 * px / crop),)
    )  # a large JPEG is decoded at a fraction of its size
    image = ImageOps.exif_transpose(image).convert("RGBA")
    image = Image.alpha_composite(Image.new("RGBA", image.size, feed["background"]), image)
    side, (width, height) = round(crop * min(image.size)), image.size
    x, y = (width - side) // 2, (height - side) // 2
    square = image.convert("RGB").resize((px, px), Image.BILINEAR, (x, y, x + side, y + side))
    values = (np.asarray(square) / 255 - feed["mean"]) / feed["std"]
    return session.run(None, {"image": values.transpose(2, 0, 1)[None].astype(np.float32)})[0][0]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Search, train, export and predict. Other options go to nas-search."
    )
    parser.add_argument("photos", type=Path, help="folder with train/ and test/")
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--epochs", type=float, default=10, help="of the last training")
    parser.add_argument("--batch-size", type=int, default=128)
    return parser


if __name__ == "__main__":
    main()
