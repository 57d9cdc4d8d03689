"""White level of a data set with images of more than eight bits."""

from __future__ import annotations

import warnings

from nas.data.image_files.decode import sample
from nas.data.image_files.depth import common_white, declared_white, is_deep, white_of
from nas.data.image_files.pictures import Pictures
from nas.data.image_files.preparation import White


def white_of_sample(pictures: Pictures) -> White:
    """Sample some 200 evenly spaced images; only those of more than eight bits are decoded.

    Images in memory are skipped: they have eight bits.
    """
    if pictures.names is None:
        return White()
    seen = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for index in sample(len(pictures)):
            one = _white(pictures, index)
            if one is not None:
                seen.append(one)
    return common_white(seen)


def _white(pictures: Pictures, index: int) -> tuple[bool, int] | None:
    """Return whether an image is a float image, and its white level; None if not deep or unreadable."""
    try:
        with pictures.open(index) as image:
            if not is_deep(image):
                return None
            declared = declared_white(image)
            image.load()
            return image.mode == "F", white_of(image, declared=declared)
    except Exception:  # noqa: BLE001  reported when all images are read
        return None
