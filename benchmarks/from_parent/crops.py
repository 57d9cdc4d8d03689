"""Make a classification data set of photos with masks: the largest region of each class, cut out.

    python -m benchmarks.from_parent.crops clothes/ crops/ --without background skin

`clothes/` has `labels.txt` (a class a line, in the order of the masks' values), and `train` and `test`,
each with `images/*.jpg` and `masks/*.png` of the same names. Each crop is a square around the region, a
tenth wider.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

SPLITS = ("train", "test")
SIDE = 128
LEAST_PIXELS = 150
LEAST_SIDE = 24
MARGIN = 1.1

Box = tuple[int, int, int, int]


def largest_region(mask: NDArray[np.bool_]) -> Box | None:
    """Return the square around the largest connected region: left, top, right, bottom.

    >>> shape = np.zeros((50, 50), bool)
    >>> shape[10:30, 20:40], shape[0, 0] = True, True
    >>> largest_region(shape)
    (18, 8, 42, 32)

    Args:
        mask: Where the class is, (height, width).

    Returns:
        None if it has fewer than `LEAST_PIXELS` pixels.
    """
    regions, count = ndimage.label(mask)
    if count == 0:
        return None
    sizes = np.bincount(regions.ravel())[1:]
    if sizes.max() < LEAST_PIXELS:
        return None
    rows, columns = np.nonzero(regions == 1 + int(sizes.argmax()))
    (top, bottom), (left, right) = ((it.min(), it.max() + 1) for it in (rows, columns))
    half = max(LEAST_SIDE, MARGIN * max(right - left, bottom - top)) / 2
    x, y = (left + right) / 2, (top + bottom) / 2
    return round(x - half), round(y - half), round(x + half), round(y + half)


def crops(
    folder: Path, labels: list[str], *, without: set[str]
) -> Iterator[tuple[Path, Image.Image]]:
    """Yield the crops of a split, each with its path below the split's folder of the result."""
    for path in sorted((folder / "images").glob("*.jpg")):
        photo = Image.open(path).convert("RGB")
        mask = np.asarray(Image.open(folder / "masks" / f"{path.stem}.png"))
        for value, label in enumerate(labels):
            box = None if label in without else largest_region(mask == value)
            if box is not None:
                crop = photo.crop(box).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
                yield Path(label) / path.name, crop


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path, help="folder with labels.txt, train and test")
    parser.add_argument("target", type=Path, help="folder to write")
    parser.add_argument("--without", nargs="*", default=["background"], help="classes to leave out")
    given = parser.parse_args()
    lines = (given.source / "labels.txt").read_text(encoding="utf-8").splitlines()
    labels = [line.strip() for line in lines if line.strip()]
    for split in SPLITS:
        number = 0
        for name, crop in crops(given.source / split, labels, without=set(given.without)):
            path = given.target / split / name
            path.parent.mkdir(parents=True, exist_ok=True)
            crop.save(path, quality=92)
            number += 1
        print(f"{split}: {number:,} crops")


if __name__ == "__main__":
    main()
