"""What a detector or a segmentation network sees in images without annotation."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nas.data.image_files.decode import FilePictures, read, try_decode
from nas.data.image_files.preparation import Preparation
from nas.data.image_files.square import upright
from nas.data.image_files.unreadable import Unreadable
from nas.export.models import Model
from nas.tasks import task_of
from nas.tasks.task import Prediction


@dataclass(frozen=True)
class Seen:
    """What is seen in one image.

    Attributes:
        path: The image.
        prediction: The network's; None if the image cannot be read.
        pixels: The image as it is shown upright, uint8 (3, H, W); None if it cannot be read.
        error: Why it cannot be read.
    """

    path: Path
    prediction: Prediction | None = None
    pixels: Tensor | None = None
    error: str = ""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        assert self.pixels is not None
        return self.pixels.shape[-1], self.pixels.shape[-2]


def seen_in(model: Model, paths: Sequence[Path]) -> Iterator[Seen]:
    """Run a network on images, one by one; images that cannot be read yield an error.

    Args:
        model: The network.
        paths: The images.
    """
    feed = model.feed
    task = task_of(feed.task)
    pictures = FilePictures(tuple(paths), np.zeros(len(paths), np.int64))
    for index, path in enumerate(paths):
        found = _read(pictures, index, feed.size_px, feed.usage.preparation)
        if isinstance(found, Unreadable):
            yield Seen(path, error=f"cannot be read: {found.reason}")
            continue
        whole, square = found
        (prediction,) = task.predictions(model.tensors(square[None]), spec=feed.spec)
        yield Seen(path, prediction, torch.from_numpy(whole))


def _read(
    pictures: FilePictures, index: int, size_px: int, preparation: Preparation
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]] | Unreadable:
    """Return an image upright at its own size, (3, H, W), and as the network's input, (3, px, px)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's warnings about irrelevant metadata
        whole = read(pictures, index, lambda image: np.asarray(upright(image, preparation)))
        if isinstance(whole, Unreadable):
            return whole
        square = try_decode(pictures, index, size_px=size_px, preparation=preparation)
    if isinstance(square, Unreadable):
        return square
    return np.ascontiguousarray(whole.transpose(2, 0, 1)), square
