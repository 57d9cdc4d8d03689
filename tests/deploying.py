"""A small trained network, and photos whose class is seen only if they are read as they should be."""

import functools
from dataclasses import replace

import numpy as np
from PIL import Image

from nas.checkpoints.checkpoint import Checkpoint
from nas.checkpoints.usage import Usage
from nas.data.images import ArraySplit, Dataset, channel_statistics
from nas.training.recipe import Recipe
from nas.training.train import train
from search_spaces import REFERENCES
from search_spaces.network import build

PX = 32
CLASSES = ("bottom", 'middle, "half"', "top, 最上")
UPRIGHT = {1: None, 2: 0, 3: 3, 4: 1, 6: 2, 8: 4}
"""EXIF orientations, and PIL's transposition of an upright photo into its file."""


def small_spec(classes=3, px=PX):
    spec = REFERENCES["mobilenet_v3_small"](width=0.35, resolution=px, classes=classes)
    return replace(spec, blocks=spec.blocks[:4], head=replace(spec.head, conv=64, hidden=32))


def shaded(label, rng, height=PX, width=PX):
    """A picture (height, width, 3) that is bright where its class says, in noise."""
    rows = np.linspace(1, 0, height)[:, None, None]
    light = [1 - rows, 1 - np.abs(2 * rows - 1), rows][label]
    strength, base = rng.uniform(40, 110), rng.uniform(40, 110, 3)
    pixels = base + strength * light + rng.normal(0, 35, (height, width, 3))
    return pixels.clip(0, 255).astype(np.uint8)


def split(count, seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, len(CLASSES), count)
    images = np.stack([shaded(label, rng).transpose(2, 0, 1) for label in labels])
    return ArraySplit(images, labels)


def dataset():
    splits = [split(count, seed) for seed, count in enumerate((300, 60, 60))]
    statistics = channel_statistics(splits[0].images)
    return Dataset("shades", CLASSES, *splits, PX, *statistics)


@functools.cache
def trained_checkpoint():
    data = dataset()
    network = build(small_spec())
    train(network, data, Recipe(steps=100, batch_size=64, learning_rate=1e-2), seed=0)
    return Checkpoint(network.spec, network.state_dict(), Usage.of(data))


def write_photos(root, count=24):
    """Photos in class folders: JPEGs that EXIF turns, transparent and palette PNGs, grey, odd sizes."""
    rng = np.random.default_rng(5)
    for number in range(count):
        label = number % len(CLASSES)
        folder = root / CLASSES[label]
        folder.mkdir(parents=True, exist_ok=True)
        height, width = (int(side) for side in rng.integers(33, 150, 2))
        image = Image.fromarray(shaded(label, rng, height, width))
        kind = ("jpg", "exif", "alpha", "palette", "grey", "exif", "exif", "large")[number % 8]
        save(image, folder / f"{number}-{kind}", kind, number)
    return root


def save(image, path, kind, number=0):
    if kind == "exif":
        orientation = (3, 6, 8, 4)[number // 2 % 4]
        exif = Image.Exif()
        exif[274] = orientation
        turned = image.transpose(Image.Transpose(UPRIGHT[orientation]))
        turned.save(f"{path}.jpg", exif=exif, quality=92)
    elif kind == "alpha":
        rgba = image.convert("RGBA")
        fade = np.linspace(0, 255, image.width).astype(np.uint8)
        rgba.putalpha(Image.fromarray(np.tile(fade, (image.height, 1))))
        rgba.save(f"{path}.png")
    elif kind == "palette":
        image.quantize(64).save(f"{path}.png", transparency=3)
    elif kind == "grey":
        image.convert("L").save(f"{path}.png")
    elif kind == "large":  # the decoder reads it at a fraction of its size
        image.resize((image.width * 5, image.height * 5)).save(f"{path}.jpg")
    else:
        image.save(f"{path}.{kind}")
