"""The image input of a model file: its layout, and its size if the file leaves it free."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from search_spaces.errors import InputError

COLOURS = (1, 3, 4)
"""Channels of images: grey, RGB, RGBA."""

Side = int | str
"""A dimension: fixed, or the name (possibly empty) of a free one."""


@dataclass(frozen=True)
class ImageInput:
    """The input of a model.

    Attributes:
        file: Name of the file, for messages.
        name: Name of the input.
        shape: Its dimensions; None if their number is unknown.
        channels: Input channels of the first layer, where known.
        channels_last: Whether the graph first moves the last axis to the front, where known.
    """

    file: str
    name: str
    shape: tuple[Side, ...] | None
    channels: int | None = None
    channels_last: bool | None = None

    @property
    def shown(self) -> str:
        """The shape as shown in messages.

        >>> ImageInput("f", "x", ("batch", 3, "", "")).shown
        '(batch, 3, ?, ?)'
        """
        if self.shape is None:
            return "of unknown rank"
        return f"({', '.join(str(side) or '?' for side in self.shape)})"

    def at(self, resolution: int | None) -> tuple[int, int, int, int]:
        """Return the shape to measure, with every free dimension fixed.

        >>> ImageInput("f", "x", ("N", 3, "H", "W")).at(224)
        (1, 3, 224, 224)
        >>> ImageInput("f", "x", (1, 192, 192, 3)).at(None)
        (1, 192, 192, 3)

        Args:
            resolution: Side in pixels; None keeps the file's own.

        Raises:
            InputError: It is not a single image, its size is free and no resolution is given, or its size
                differs from the resolution.
        """
        if self.shape is not None and len(self.shape) != 4:
            raise InputError(
                f"{self.file}: its input {self.name!r} has the shape {self.shown}, which is not an image: "
                "only models of (1, channels, height, width) or (1, height, width, channels) are measured"
            )
        batch, *image = self.shape or ("", "", "", "")
        if isinstance(batch, int) and batch != 1:
            raise InputError(
                f"{self.file}: its batch is fixed at {batch}, and latency is measured at batch 1: export "
                "it with batch 1"
            )
        last = self._is_channels_last(image)
        *sides, channels = image if last else (*image[1:], image[0])
        height, width = (self._side(side, resolution) for side in sides)
        if isinstance(channels, str):
            channels = self.channels or 3
        return (1, height, width, channels) if last else (1, channels, height, width)

    def size_of(self, shape: Sequence[int]) -> tuple[int, int]:
        """Return height and width of a fixed shape."""
        return (shape[1], shape[2]) if self._is_channels_last(shape[1:]) else (shape[2], shape[3])

    def _side(self, side: Side, resolution: int | None) -> int:
        if isinstance(side, int):
            if resolution not in (None, side):
                raise InputError(
                    f"{self.file}: its input is fixed at {self.shown}, --resolution is {resolution}: leave "
                    "--resolution out, or export the model at that size"
                )
            return side
        if resolution is None:
            raise InputError(
                f"{self.file}: its input {self.name!r} {self.shown} has a free size: give "
                "--resolution with the side in pixels, 224 for instance"
            )
        return resolution

    def _is_channels_last(self, image: Sequence[Side]) -> bool:
        """Whether channels are the last of three axes: by size, by name, or by the first layer."""
        first, last = image[0], image[-1]
        if first in COLOURS or last in COLOURS:
            return first not in COLOURS
        named = [_meaning(side) for side in image]
        if named[0] == "channel" or named[-1] == "width":
            return False
        if named[0] == "height" or named[-1] == "channel":
            return True
        return bool(self.channels_last)


def _meaning(side: Side) -> str | None:
    """Interpret the name of a free dimension.

    >>> [_meaning(name) for name in ("H", "in_channels", "image-width", "dim_2", 3)]
    ['height', 'channel', 'width', None, None]
    """
    name = str(side).lower()
    for meaning in ("channel", "height", "width"):
        if meaning in name or meaning[0] in re.split(r"[^a-z]+", name):
            return meaning
    return None
