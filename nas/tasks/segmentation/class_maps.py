"""The classes of an image's pixels: as they are annotated, or as a network sees them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from nas.data.masks.coding import IGNORED, Color
from nas.tasks.drawing.colors import color
from nas.tasks.segmentation.drawing import overlaid, shown_classes
from nas.tasks.segmentation.logits import strips

SAID_SIZE = (128, 128)
"""At which the pixels of classes are counted for a line of text."""


class ClassMap(Protocol):
    """Classes of pixels, at any size."""

    def at(self, size: tuple[int, int]) -> Tensor:
        """Return the class of each pixel, uint8 (H, W), for a size of (width, height)."""
        ...

    def drawn(self, pixels: Tensor, classes: Sequence[str]) -> Tensor:
        """Draw the classes over an image.

        Args:
            pixels: uint8 (3, H, W), on the CPU; not modified.
            classes: Names of the classes.

        Returns:
            uint8 (3, H, W).
        """
        height, width = pixels.shape[-2:]
        return overlaid(pixels, self.at((width, height)), classes)

    def colors(self, classes: Sequence[str], *, size: tuple[int, int]) -> dict[str, Color]:
        """Return the colors of the classes that are drawn."""
        shown = shown_classes(self.at(size), classes)
        return {"ignored" if i == IGNORED else classes[i]: color(i) for i in shown}

    def said(self, classes: Sequence[str]) -> str:
        """Return the fraction of the image that each class covers, the largest first."""
        mask = self.at(SAID_SIZE)
        shares = {int(i): float((mask == i).float().mean()) for i in torch.unique(mask)}
        order = sorted((index for index in shares if index != IGNORED), key=lambda i: -shares[i])
        return ", ".join(f"{classes[index]} {100 * shares[index]:.0f}%" for index in order) or "-"

    def document(self, classes: Sequence[str], *, size: tuple[int, int]) -> list[dict[str, Any]]:
        """Return the pixels of each class as COCO's results have them, without the image's id.

        Args:
            classes: Names of the classes.
            size: Width and height of the image in pixels.
        """
        mask = self.at(size)
        return [
            {
                "category_id": index,
                "category": classes[index],
                "segmentation": run_lengths(mask == index),
            }
            for index in torch.unique(mask).tolist()
            if index != IGNORED
        ]

    def agreement(self, other: ClassMap) -> float:
        """Return the fraction of the pixels whose class is the same."""
        return float((self.at(SAID_SIZE) == other.at(SAID_SIZE)).float().mean())


@dataclass(frozen=True, eq=False)
class AnnotatedMap(ClassMap):
    """Classes of an image's pixels: annotated, or decided by a file with post-processing.

    Attributes:
        classes: Class indices, uint8 (h, w); 255 is ignored.
    """

    classes: Tensor

    def at(self, size: tuple[int, int]) -> Tensor:
        """Return the class of the nearest pixel."""
        width, height = size
        return nearest(self.classes[None], (height, width))[0]


@dataclass(frozen=True, eq=False)
class PredictedMap(ClassMap):
    """The classes that a network sees in an image.

    Attributes:
        logits: float32 (classes, h, w).
    """

    logits: Tensor
    _known: dict[tuple[int, int], Tensor] = field(default_factory=dict, repr=False)

    def at(self, size: tuple[int, int]) -> Tensor:
        """Return the class of the largest logit, once these are enlarged."""
        width, height = size
        known = self._known.get(size)
        if known is None:
            blank = torch.empty((1, height, width), dtype=torch.uint8)
            rows = [full.max(dim=1).indices for full, _ in strips(self.logits[None], blank)]
            known = self._known[size] = torch.cat(rows, dim=1)[0].to(torch.uint8)
        return known


def nearest(classes: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize class indices (N, h, w) to `size`, height and width: uint8 (N, H, W)."""
    floats = classes[:, None].float()
    resized = functional.interpolate(floats, size=size, mode="nearest-exact")
    return resized[:, 0].to(torch.uint8)


def run_lengths(inside: Tensor) -> dict[str, list[int]]:
    """Return COCO's uncompressed run lengths of a region, bool (H, W).

    They are counted column by column, alternately outside and inside, beginning with those outside.

    >>> run_lengths(torch.tensor([[True, False], [True, True]]))
    {'size': [2, 2], 'counts': [0, 2, 1, 1]}
    """
    flat = inside.T.flatten()
    changes = (torch.nonzero(flat[1:] != flat[:-1]).flatten() + 1).tolist()
    starts = [0, *changes, len(flat)]
    counts = [stop - start for start, stop in pairwise(starts)]
    return {"size": list(inside.shape), "counts": [0, *counts] if flat[0] else counts}
