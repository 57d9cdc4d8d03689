"""Read from its header how an image is stored, to compare it with its annotation."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from nas.data.image_files.opening import open_file, open_plain
from nas.data.image_files.orientation import orientation_of


class Stored(NamedTuple):
    """Width and height of an image as it is stored, and EXIF's orientation."""

    size: tuple[int, int]
    orientation: int


def stored(path: Path, *, max_megapixels: float) -> Stored | None:
    """Return how an image is stored, without decoding it.

    Like decoding, it tries again without metadata. None if it cannot be opened at all: such images are
    reported, or left out, when all are decoded.
    """
    for opened in (open_file, open_plain):
        try:
            image = opened(path, max_megapixels=max_megapixels)
            if image is not None:
                with image:
                    return Stored(image.size, orientation_of(image.info))
        except Exception:  # noqa: BLE001, S112  see above: decoding says why
            continue
    return None
