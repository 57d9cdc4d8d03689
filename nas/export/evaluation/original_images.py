"""The images of a split as their files have them, for a network whose classes may have another order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from nas.data.image_files.decode import decode, read
from nas.data.image_files.opening import reason
from nas.data.image_files.pictures import Pictures
from nas.data.image_files.preparation import Preparation
from nas.data.image_files.square import upright
from nas.data.image_files.unreadable import Unreadable, UnreadableError
from nas.tasks import task_of


@dataclass(frozen=True)
class OriginalImages:
    """Images that are read when they are asked for, one by one.

    Attributes:
        pictures: The images.
        preparation: How they are decoded.
        task: Name of what is learned of them; see `nas.tasks.task_of`.
        indices: The network's class for each of theirs, int64 (classes,).
    """

    pictures: Pictures
    preparation: Preparation
    task: str
    indices: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.pictures)

    def name(self, index: int) -> str:
        """Return the path of an image in its folder, or another name."""
        names = self.pictures.names
        return self.pictures.describe(index) if names is None else names[index]

    def size(self, index: int) -> tuple[int, int]:
        """Return width and height of an image, upright."""
        return self.pictures.size(index)

    def target(self, index: int) -> Tensor:
        """Return what is true of an image at its own size, in the network's classes, (1, ...).

        Raises:
            UnreadableError: The file with it cannot be read.
        """
        try:
            own = torch.from_numpy(np.array(self.pictures.original(index)))
        except (OSError, ValueError) as error:
            bad = Unreadable(self.pictures.describe(index), reason(error))
            raise UnreadableError([bad]) from error
        return task_of(self.task).relabelled(own[None], torch.from_numpy(self.indices))

    def square(self, index: int, size_px: int) -> NDArray[np.uint8]:
        """Return an image as a network's input, (3, size_px, size_px).

        Raises:
            UnreadableError: It cannot be read.
        """
        return decode(self.pictures, index, size_px=size_px, preparation=self.preparation)

    def whole(self, index: int, longer_px: int) -> Tensor:
        """Return all of an image upright, uint8 (3, H, W), at this longer side.

        Raises:
            UnreadableError: It cannot be read.
        """

        def resized(image: Image.Image) -> Image.Image:
            with image:
                rgb = upright(image, self.preparation)
            scale = longer_px / max(rgb.size)
            width, height = (max(1, round(scale * side)) for side in rgb.size)
            return rgb.resize((width, height), Image.Resampling.BILINEAR)

        found = read(self.pictures, index, resized)
        if isinstance(found, Unreadable):
            raise UnreadableError([found])
        return torch.from_numpy(np.array(found)).permute(2, 0, 1)
