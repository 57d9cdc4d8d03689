"""Pictures in files whose targets are masks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nas.data.image_files.decode import ROOM, for_each
from nas.data.image_files.opening import MAX_MEGAPIXELS, open_file, reason
from nas.data.image_files.orientation import TURNS
from nas.data.image_files.pictures import InFiles
from nas.data.image_files.preparation import Preparation
from nas.data.image_files.square import square_mask
from nas.data.image_files.unreadable import Unreadable, UnreadableError
from nas.data.masks.coding import Coding, class_indices
from nas.data.masks.masked import shown


@dataclass(frozen=True, eq=False)
class MaskPictures(InFiles):
    """Pictures in files, each with a mask in another file.

    Attributes:
        paths: The files of the pictures.
        masks: The files of their masks.
        orientations: EXIF's orientation by which each mask is turned upright, int64 (N,); 1 leaves it.
        coding: How the masks' pixels stand for classes.
        names: See `Pictures.names`.
        max_megapixels: Larger images are refused.
    """

    paths: tuple[Path, ...]
    masks: tuple[Path, ...]
    orientations: NDArray[np.int64]
    coding: Coding
    names: tuple[str, ...] | None = None
    max_megapixels: float = MAX_MEGAPIXELS

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def strata(self) -> NDArray[np.int64]:
        """One group of all pictures: most have most classes."""
        return np.zeros(len(self), np.int64)

    def original(self, index: int) -> NDArray[np.uint8]:
        """Return the class of each pixel of a picture, (H, W), at its own size and upright.

        Raises:
            OSError, ValueError: Its mask cannot be read.
        """
        classes = read_mask(self.masks[index], self.coding, max_megapixels=self.max_megapixels)
        turn = TURNS.get(int(self.orientations[index]))
        return classes if turn is None else np.array(Image.fromarray(classes).transpose(turn))

    def classes_of(self, indices: NDArray[np.int64]) -> set[int]:  # noqa: ARG002
        """Return no class: masks are not read for this."""
        return set()

    def targets(
        self, indices: NDArray[np.int64], *, size_px: int, preparation: Preparation
    ) -> NDArray[np.uint8]:
        """Return the classes of some pictures' pixels, (n, size_px, size_px).

        Raises:
            UnreadableError: Masks cannot be read; all of them are listed.
        """
        squares = np.empty((len(indices), size_px, size_px), np.uint8)

        def fill(number: int) -> Unreadable | None:
            index = int(indices[number])
            try:
                whole = Image.fromarray(self.original(index))
            except Exception as error:  # noqa: BLE001  plug-ins may raise anything on damaged files
                return Unreadable(shown(self.masks[index]), reason(error))
            squares[number] = np.asarray(square_mask(whole, size_px, preparation))
            return None

        bad = for_each(len(indices), fill)
        if bad:
            raise UnreadableError(list(bad.values()))
        return squares

    def size_bytes(self, index: int) -> int:
        """Return the size of a picture's file and its mask's, so that a change of either is seen."""
        try:
            return super().size_bytes(index) + self.masks[index].stat().st_size
        except OSError:
            return 0


def read_mask(path: Path, coding: Coding, *, max_megapixels: float) -> NDArray[np.uint8]:
    """Return the class of each pixel of a mask's file, (H, W), as it is stored.

    Raises:
        WrongMaskError: It has values that stand for no class.
        UnusableError: It is not an image, or too large.
        OSError: It cannot be read.
    """
    with (
        open_file(path, max_megapixels=max_megapixels) as image,
        ROOM.taken(image.width * image.height / 1e6),
    ):
        return class_indices(image, coding)
