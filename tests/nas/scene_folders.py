"""Folders of drawn scenes: with boxes as Pascal VOC's XML, and with masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from tests.nas.drawn_masks import CLASSES, masked_scenes
from tests.nas.drawn_scenes import scenes

COLORS = ("red", "green", "blue")
SPLITS = (("train", 24), ("val", 8), ("test", 8))


def box_scenes(root: Path, *, px: int = 64) -> Path:
    """Write scenes with boxes of three classes."""
    for seed, (split, count) in enumerate(SPLITS, start=1):
        part = scenes(count, px=px, seed=seed)
        for number, (image, rows) in enumerate(zip(part.images, part.targets, strict=True)):
            path = _save(root / split / f"{number}.png", image.transpose(1, 2, 0))
            objects = "".join(_object(row, px) for row in rows if row[0] >= 0)
            path.with_suffix(".xml").write_text(f"<annotation>{objects}</annotation>")
    return root


def mask_scenes(root: Path, *, px: int = 64) -> Path:
    """Write scenes with masks of two classes and the background."""
    for seed, (split, count) in enumerate(SPLITS, start=1):
        part = masked_scenes(count, px=px, seed=seed)
        for number, (image, mask) in enumerate(zip(part.images, part.targets, strict=True)):
            _save(root / split / "images" / f"{number}.png", image.transpose(1, 2, 0))
            _save(root / split / "masks" / f"{number}.png", mask)
    (root / "labels.txt").write_text("\n".join(CLASSES) + "\n")
    return root


def _save(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def _object(row: np.ndarray, px: int) -> str:
    corners = dict(zip(("xmin", "ymin", "xmax", "ymax"), row[1:5] * px, strict=True))
    box = "".join(f"<{name}>{value:g}</{name}>" for name, value in corners.items())
    return f"<object><name>{COLORS[int(row[0])]}</name><bndbox>{box}</bndbox></object>"
