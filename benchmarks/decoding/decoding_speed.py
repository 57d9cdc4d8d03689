"""Images decoded per second on one core: ours beside a plain PIL loader and torchvision's decoder.

    python -m benchmarks.decoding.decoding_speed [--sides PX ...] [--sizes PX ...] [--images N] [--rounds N]

Every side turns the same JPEG files into uint8 squares (3, size, size), in one thread:

- ours: `nas.data.image_files.decode.decode` of a training image that does not fit into memory;
- ours, exact: the same of an image to evaluate on, resized by Pillow;
- plain PIL: `Image.open(path).convert("RGB")`, then torchvision's Resize and CenterCrop, as in tutorials;
- draft: the same after `Image.draft`, which decodes at a half, quarter or eighth of the size;
- reducing gap: after `draft`, `Image.resize` with `reducing_gap=2`, which shrinks by a whole factor first;
- torchvision: `torchvision.io.decode_jpeg` (libjpeg-turbo), then Resize and CenterCrop of the tensor.

The photos are drawn here: smooth noise with fine grain, 4:3, quality 90. Rounds alternate, so that other
load on the machine affects all sides alike. Before that the results are compared with plain PIL's:
"difference" is the mean in levels of 255, most of it from torchvision's rounding of the longer side before
the crop.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torchvision.io import ImageReadMode, decode_jpeg, read_file
from torchvision.transforms import v2

from nas.data.image_files.decode import FilePictures, decode
from nas.data.image_files.preparation import Preparation

QUALITY = 90
GRAIN = 6.0
"""Standard deviation of the fine noise, in levels of 255: enough for files of a camera's size."""

Square = Callable[[Path, int], NDArray[np.uint8]]


def write_photos(folder: Path, side: int, count: int) -> list[Path]:
    """Write JPEGs of smooth noise with grain, (4/3 * side) x side pixels."""
    rng = np.random.default_rng(side)
    paths = []
    for number in range(count):
        width = side * 4 // 3
        coarse = rng.integers(0, 256, (12, 16, 3), np.uint8)
        smooth = Image.fromarray(coarse).resize((width, side), Image.Resampling.BICUBIC)
        grain = rng.normal(0, GRAIN, (side, width, 1)).astype(np.float32)
        pixels = (np.asarray(smooth, np.float32) + grain).clip(0, 255).astype(np.uint8)
        paths.append(folder / f"{side}-{number}.jpg")
        Image.fromarray(pixels).save(paths[-1], quality=QUALITY)
    return paths


def ours(path: Path, size: int) -> NDArray[np.uint8]:
    return _decode(path, size, Preparation(exact=False))


def ours_exact(path: Path, size: int) -> NDArray[np.uint8]:
    return _decode(path, size, Preparation())


def _decode(path: Path, size: int, preparation: Preparation) -> NDArray[np.uint8]:
    pictures = FilePictures((path,), np.zeros(1, np.int64))
    return decode(pictures, 0, size_px=size, preparation=preparation)


def plain(path: Path, size: int) -> NDArray[np.uint8]:
    with Image.open(path) as image:
        return _array(_resize_and_crop(size)(image.convert("RGB")))


def drafted(path: Path, size: int) -> NDArray[np.uint8]:
    with Image.open(path) as image:
        image.draft("RGB", (2 * size, 2 * size))
        return _array(_resize_and_crop(size)(image.convert("RGB")))


def with_reducing_gap(path: Path, size: int) -> NDArray[np.uint8]:
    with Image.open(path) as image:
        image.draft("RGB", (2 * size, 2 * size))
        side = min(image.size)
        left, top = ((whole - side) // 2 for whole in image.size)
        box = (left, top, left + side, top + side)
        resized = image.convert("RGB").resize(
            (size, size), Image.Resampling.BILINEAR, box=box, reducing_gap=2.0
        )
        return _array(resized)


def torchvisions(path: Path, size: int) -> NDArray[np.uint8]:
    image = decode_jpeg(read_file(str(path)), mode=ImageReadMode.RGB)
    squared: NDArray[np.uint8] = _resize_and_crop(size)(image).numpy()
    return squared


SIDES: dict[str, Square] = {
    "ours": ours,
    "ours, exact": ours_exact,
    "plain PIL": plain,
    "PIL, draft": drafted,
    "PIL, draft and reducing gap": with_reducing_gap,
    "torchvision decode_jpeg": torchvisions,
}


def _resize_and_crop(size: int) -> v2.Compose:
    return v2.Compose([v2.Resize(size, antialias=True), v2.CenterCrop(size)])


def _array(image: Image.Image) -> NDArray[np.uint8]:
    return np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1))


def images_per_s(square: Square, paths: list[Path], size: int) -> float:
    started = time.perf_counter()
    for path in paths:
        square(path, size)
    return len(paths) / (time.perf_counter() - started)


def measure(paths: list[Path], size: int, rounds: int) -> dict[str, list[float]]:
    speeds: dict[str, list[float]] = {name: [] for name in SIDES}
    for _ in range(rounds):
        for name, square in SIDES.items():
            speeds[name].append(images_per_s(square, paths, size))
    return speeds


def differences(paths: list[Path], size: int) -> dict[str, float]:
    """Return each side's mean absolute difference from plain PIL, in levels; also warms the file cache."""
    wanted = [plain(path, size).astype(int) for path in paths]
    return {
        name: statistics.fmean(
            np.abs(square(path, size).astype(int) - one).mean().item()
            for path, one in zip(paths, wanted, strict=True)
        )
        for name, square in SIDES.items()
    }


def table(speeds: dict[str, list[float]], apart: dict[str, float], title: str) -> str:
    lines = [
        f"| {title} | images/s, median (min-max) | ours / this, median of rounds (min-max) | difference |",
        "|---|---|---|---|",
    ]
    for name, values in speeds.items():
        ratios = [mine / this for mine, this in zip(speeds["ours"], values, strict=True)]
        lines.append(
            f"| {name} | {_spread(values, '.1f')} | {_spread(ratios, '.2f')} | {apart[name]:.1f} |"
        )
    return "\n".join(lines)


def _spread(values: list[float], form: str) -> str:
    return f"{statistics.median(values):{form}} ({min(values):{form}}-{max(values):{form}})"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--sides",
        type=int,
        nargs="+",
        default=[500, 1600, 4000],
        help="shorter side of the photos, px",
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=[96, 224], help="of the result, px")
    parser.add_argument("--images", type=int, default=8, help="photos of each side")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        for side in arguments.sides:
            paths = write_photos(Path(folder), side, arguments.images)
            mb = statistics.fmean(path.stat().st_size for path in paths) / 1e6
            for size in arguments.sizes:
                apart = differences(paths, size)
                speeds = measure(paths, size, arguments.rounds)
                title = f"{side} px ({mb:.1f} MB) to {size} px, 1 thread, {arguments.rounds} rounds"
                print(table(speeds, apart, title), end="\n\n", flush=True)


if __name__ == "__main__":
    main()
