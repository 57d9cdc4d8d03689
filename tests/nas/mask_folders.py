"""Folders of images with masks, in every layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from nas.data.annotations.annotated_folder import AnnotatedFolder
from nas.data.masks.folder import read_mask_folder
from nas.data.masks.labels import voc_color
from nas.data.masks.pictures import MaskPictures

SIZE = (32, 24)

CLASSES = ("sky", "sea", "sand")


def values(*, size: tuple[int, int] = SIZE) -> np.ndarray:
    """The left half is class 0, the right one class 1, but for class 2 in the top right corner."""
    mask = np.zeros(size[::-1], np.uint8)
    mask[:, size[0] // 2 :] = 1
    mask[: size[1] // 4, -size[0] // 4 :] = 2
    return mask


def photo(path: Path, *, mask: np.ndarray | None = None, orientation: int | None = None) -> None:
    """Save an image whose brightness is 100 times the class."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(100 * (values() if mask is None else mask)).convert("RGB")
    exif = image.getexif()
    if orientation is not None:
        exif[274] = orientation
    image.save(path, exif=exif, **({"quality": 95} if path.suffix == ".jpg" else {}))


def save(path: Path, mask: np.ndarray | Image.Image | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    chosen = values() if mask is None else mask
    (chosen if isinstance(chosen, Image.Image) else Image.fromarray(chosen)).save(path)


def folders(root: Path, *, splits: tuple[str, ...] = ("train", "test"), count: int = 3) -> Path:
    for split in splits:
        for name in "abcdefghij"[:count]:
            photo(root / split / "images" / f"{name}.jpg")
            save(root / split / "masks" / f"{name}.png")
    root.mkdir(exist_ok=True)
    (root / "labels.txt").write_text("\n".join(CLASSES) + "\n")
    return root


def voc(root: Path) -> Path:
    for name in ("2007_1", "2007_2", "2007_3"):
        photo(root / "JPEGImages" / f"{name}.jpg")
        mask = Image.fromarray(values(), "P")
        mask.putpalette([level for index in range(256) for level in voc_color(index)])
        save(root / "SegmentationClass" / f"{name}.png", mask)
    photo(root / "JPEGImages" / "2007_4.jpg")
    lists = root / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("2007_1\n2007_2\n")
    (lists / "val.txt").write_text("2007_3\n")
    return root


def cityscapes(root: Path, *, kind: str = "labelIds") -> Path:
    labels = np.array([23, 7, 0], np.uint8) if kind == "labelIds" else np.array([10, 0, 255])
    for split, city in (("train", "aachen"), ("train", "ulm"), ("val", "lindau")):
        name = f"{split}/{city}/{city}_000000_000019"
        photo(root / "leftImg8bit" / f"{name}_leftImg8bit.png")
        save(root / "gtFine" / f"{name}_gtFine_{kind}.png", labels[values()].astype(np.uint8))
        save(root / "gtFine" / f"{name}_gtFine_color.png", Image.new("RGB", SIZE))
    photo(root / "leftImg8bit/test/bonn/bonn_000000_000019_leftImg8bit.png")
    return root


def read(root: Path) -> AnnotatedFolder[MaskPictures]:
    return read_mask_folder(root, max_megapixels=100)
