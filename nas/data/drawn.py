"""Scenes to try detection and segmentation on: garments of Fashion-MNIST on the embedded photos of fruit.

Where each garment lies is known, so a scene comes with boxes and a mask. They are drawn, not photographed:
what works on them shows that a pipeline works, not how good it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from nas.data.embedded import photo_folder, read_embedded
from nas.data.masks.coding import IGNORED

GARMENTS = ("t-shirt/top", "trouser", "dress", "sneaker", "bag", "ankle boot")
"""Classes of Fashion-MNIST that differ in shape even at a few dozen pixels."""

CLASSES = tuple(name.replace("/", " or ") for name in GARMENTS)

MOST = 4
"""Garments in a scene."""

SIDES = (0.22, 0.5)
"""Side of a garment's picture as a fraction of the scene's, from and to."""

MOST_COVERED = 0.15
"""Part of a garment's box that another may cover."""

TRIES = 20
"""Places tried for a garment, before the scene does without it."""

CLOTH = 24
"""Grey value, of 255, from which a pixel belongs to the garment; the ground is black."""

BORDER = (0.2, 0.8)
"""Opacity of pixels at a garment's edge that belong to neither class, as Pascal VOC's borders."""


class Box(NamedTuple):
    """A garment in a scene.

    Attributes:
        name: Its class.
        corners: x1, y1, x2, y2 in pixels.
    """

    name: str
    corners: tuple[int, int, int, int]


@dataclass(frozen=True)
class Scene:
    """A drawn image.

    Attributes:
        image: uint8 (S, S, 3).
        boxes: Its garments.
        mask: uint8 (S, S): 0 where there is none, else 1 + the index in `CLASSES`; 255 at edges.
    """

    image: NDArray[np.uint8]
    boxes: tuple[Box, ...]
    mask: NDArray[np.uint8]


def scenes(count: int, *, split: str, px: int, seed: int) -> Iterator[Scene]:
    """Draw scenes; garments and photos come from the same split of their own data sets.

    Args:
        count: Number of scenes.
        split: `train`, `val` or `test`.
        px: Side.
        seed: Random seed.
    """
    rng = np.random.default_rng([seed, *split.encode()])
    names, pictures = read_embedded()
    clothes = pictures[split]
    indices = [np.flatnonzero(clothes.labels == names.index(name)) for name in GARMENTS]
    photos = sorted((photo_folder() / split).rglob("*.jpg"))
    for _ in range(count):
        with Image.open(photos[rng.integers(len(photos))]) as photo:
            ground = np.asarray(photo.convert("RGB").resize((px, px), Image.Resampling.BICUBIC))
        scene = Scene(ground.copy(), (), np.zeros((px, px), np.uint8))
        for _ in range(rng.integers(1, MOST + 1)):
            class_ = int(rng.integers(len(GARMENTS)))
            scene = _with_garment(scene, clothes.images[rng.choice(indices[class_])], class_, rng)
        yield scene


def _with_garment(
    scene: Scene, garment: NDArray[np.uint8], class_: int, rng: np.random.Generator
) -> Scene:
    """Lay a garment (28, 28) on a scene, where it covers little of the others."""
    px = len(scene.mask)
    side = int(px * rng.uniform(*SIDES))
    grey, opacity = _enlarged(garment, side)
    inside = np.argwhere(opacity > BORDER[1])
    (top, left), (bottom, right) = inside.min(axis=0), inside.max(axis=0) + 1
    for _ in range(TRIES):
        x, y = (int(place) for place in rng.integers(0, px - side + 1, 2))
        corners = (x + int(left), y + int(top), x + int(right), y + int(bottom))
        if all(_covered(corners, other.corners) <= MOST_COVERED for other in scene.boxes):
            break
    else:
        return scene
    color = rng.uniform(60, 255, 3)
    place = np.s_[y : y + side, x : x + side]
    image, mask = scene.image.copy(), scene.mask.copy()
    cloth = color * (0.3 + 0.7 * grey[..., None])
    alpha = opacity[..., None]
    image[place] = np.rint(alpha * cloth + (1 - alpha) * image[place]).astype(np.uint8)
    mask[place][opacity > BORDER[0]] = IGNORED
    mask[place][opacity > BORDER[1]] = 1 + class_
    return Scene(image, (*scene.boxes, Box(CLASSES[class_], corners)), mask)


def _enlarged(
    garment: NDArray[np.uint8], side: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return grey values and opacity, (side, side) in 0..1 each."""
    pictures = Image.fromarray(garment), _silhouette(garment)
    grey, opacity = (
        np.asarray(picture.resize((side, side), Image.Resampling.BILINEAR)) / 255
        for picture in pictures
    )
    return grey, opacity


def _silhouette(garment: NDArray[np.uint8]) -> Image.Image:
    """Return 255 where a garment is, black patterns inside of it included."""
    ground = Image.fromarray(np.pad(np.where(garment >= CLOTH, 255, 0).astype(np.uint8), 1))
    ImageDraw.floodfill(ground, (0, 0), 128)
    return Image.fromarray(np.where(np.asarray(ground) == 128, 0, 255).astype(np.uint8)[1:-1, 1:-1])


def _covered(one: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> float:
    """Return what two boxes share, as a fraction of the smaller one."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    areas = ((x2 - x1) * (y2 - y1) for x1, y1, x2, y2 in (one, other))
    return max(width, 0) * max(height, 0) / min(areas)


def write_scenes(
    root: Path, counts: dict[str, int], *, px: int, seed: int
) -> Iterator[tuple[str, int]]:
    """Write scenes as a folder in Pascal VOC's layout, with boxes and masks, and a list of the classes.

    Args:
        root: A folder, which is created.
        counts: Number of scenes in each split.
        px: Side.
        seed: Random seed.

    Yields:
        Split and number of scenes written of it, after each scene.

    Raises:
        OSError: A file cannot be written.
    """
    for name in ("JPEGImages", "Annotations", "SegmentationClass"):
        (root / name).mkdir(parents=True, exist_ok=True)
    (root / "labels.txt").write_text("\n".join(("background", *CLASSES)) + "\n")
    for split, count in counts.items():
        names = [f"{split}_{index:04}" for index in range(count)]
        drawn = scenes(count, split=split, px=px, seed=seed)
        for done, (name, scene) in enumerate(zip(names, drawn, strict=True), 1):
            Image.fromarray(scene.image).save(root / "JPEGImages" / f"{name}.jpg", quality=92)
            Image.fromarray(scene.mask).save(root / "SegmentationClass" / f"{name}.png")
            _annotation(f"{name}.jpg", scene).write(root / "Annotations" / f"{name}.xml")
            yield split, done
        for kind in ("Main", "Segmentation"):
            lists = root / "ImageSets" / kind
            lists.mkdir(parents=True, exist_ok=True)
            (lists / f"{split}.txt").write_text("\n".join(names) + "\n")


def _annotation(name: str, scene: Scene) -> ElementTree.ElementTree[ElementTree.Element]:
    """Return the boxes of a scene as Pascal VOC's XML."""
    root = ElementTree.Element("annotation")
    ElementTree.SubElement(root, "filename").text = name
    size = ElementTree.SubElement(root, "size")
    height, width, depth = scene.image.shape
    for key, value in (("width", width), ("height", height), ("depth", depth)):
        ElementTree.SubElement(size, key).text = str(value)
    for box in scene.boxes:
        entry = ElementTree.SubElement(root, "object")
        ElementTree.SubElement(entry, "name").text = box.name
        ElementTree.SubElement(entry, "difficult").text = "0"
        place = ElementTree.SubElement(entry, "bndbox")
        for key, value in zip(("xmin", "ymin", "xmax", "ymax"), box.corners, strict=True):
            ElementTree.SubElement(place, key).text = str(value)
    ElementTree.indent(root)
    return ElementTree.ElementTree(root)
