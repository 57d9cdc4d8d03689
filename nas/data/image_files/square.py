"""Convert an image of any mode and size to a small RGB square."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageColor
from torch.nn import functional

from nas.data.image_files.depth import declared_white, eight_bits, is_deep, white_of
from nas.data.image_files.orientation import loaded
from nas.data.image_files.preparation import PLAIN, Preparation

LARGE_PIXELS = 32_000_000
"""Larger images are converted strip by strip: each copy of 200 megapixels takes 800 MB."""

STRIP_PIXELS = 4_000_000

Box = tuple[int, int, int, int]


def square_pixels(
    image: Image.Image, size_px: int, preparation: Preparation = PLAIN
) -> NDArray[np.uint8]:
    """Return the pixels of `square_rgb`, (3, size_px, size_px); to within rounding if not `exact`.

    torch's resizing uses vector instructions, Pillow's does not.

    Raises:
        ValueError: The white level of such an image cannot be determined.
    """
    if preparation.exact:
        pixels = np.asarray(square_rgb(image, size_px, preparation))
    else:
        rgb = _upright_rgb(image, size_px, preparation)
        cropped = torch.from_numpy(np.array(rgb.crop(_shown(rgb, preparation))))
        channels_first = cropped.permute(2, 0, 1)[None]
        size = (size_px, size_px)
        resized = functional.interpolate(channels_first, size, mode="bilinear", antialias=True)
        pixels = resized[0].permute(1, 2, 0).numpy()
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))  # (H, W, 3) -> (3, H, W)


def square_rgb(image: Image.Image, size_px: int, preparation: Preparation = PLAIN) -> Image.Image:
    """Turn upright (EXIF), convert to RGB, crop what is shown and scale it to `size_px`.

    Args:
        image: As Pillow opened it; its pixels may not be read yet.
        size_px: Height and width of the result.
        preparation: That of its data set.

    Raises:
        ValueError: The white level of such an image cannot be determined.

    >>> square_rgb(Image.new("L", (40, 20)), 10).size
    (10, 10)
    """
    rgb = _upright_rgb(image, size_px, preparation)
    box = _shown(rgb, preparation)
    if box[2] - box[0] == box[3] - box[1] == size_px:
        return rgb.crop(box)
    return rgb.resize((size_px, size_px), Image.Resampling.BILINEAR, box=box)


def square_mask(mask: Image.Image, size_px: int, preparation: Preparation) -> Image.Image:
    """Crop and scale a mask as `square_rgb` does its image, taking the nearest pixel.

    Args:
        mask: Class indices (mode L), upright, of the size of its image.
        size_px: Height and width of the result.
        preparation: That of its data set.
    """
    box = _shown(mask, preparation)
    return mask.resize((size_px, size_px), Image.Resampling.NEAREST, box=box)


def upright(image: Image.Image, preparation: Preparation = PLAIN) -> Image.Image:
    """Turn an image upright (EXIF) and convert it to RGB, at its own size.

    Raises:
        ValueError: The white level of such an image cannot be determined.
    """
    return _upright_rgb(image, max(image.size), preparation)


def _upright_rgb(image: Image.Image, size_px: int, preparation: Preparation) -> Image.Image:
    """Read the pixels, at a size from which `size_px` can be made, and turn them upright."""
    # JPEG can decode at a half, quarter or eighth; twice the target is enough for the filter.
    least_px = preparation.decoded_px(size_px)
    image.draft("RGB", (least_px, least_px))
    declared = declared_white(image) if is_deep(image) else None
    turn = loaded(image)
    highest = None
    if is_deep(image):
        highest = white_of(image, declared=declared, common=preparation.white.of(image))
    if image.width * image.height > LARGE_PIXELS:
        image, highest = _reduced(image, least_px, preparation, highest), None
    if turn is not None:
        image = image.transpose(turn)
    return _to_rgb(image, preparation.background, highest)


def _shown(image: Image.Image, preparation: Preparation) -> Box:
    """Return the part of an image that is shown: all of it, or a centered square, in whole pixels."""
    width, height = image.size
    if preparation.fit == "stretch":
        return 0, 0, width, height
    side = max(1, round(preparation.crop * min(width, height)))
    left, top = (width - side) // 2, (height - side) // 2
    return left, top, left + side, top + side


def _reduced(
    image: Image.Image, least_px: int, preparation: Preparation, highest: int | None
) -> Image.Image:
    """Return what may be shown in RGB, reduced by an integer factor to at least `least_px`, in strips."""
    left, top, right, bottom = _shown(image, preparation.whole())
    factor = max(1, min(right - left, bottom - top) // least_px)
    columns, rows = (right - left) // factor, (bottom - top) // factor
    small = Image.new("RGB", (columns, rows))
    step = max(1, STRIP_PIXELS // (columns * factor * factor))  # rows of cells per strip
    for row in range(0, rows, step):
        count = min(step, rows - row)
        upper = top + row * factor
        strip = image.crop((left, upper, left + columns * factor, upper + count * factor))
        small.paste(_to_rgb(strip, preparation.background, highest).reduce(factor), (0, row))
    return small


def _to_rgb(image: Image.Image, background: str, highest: int | None) -> Image.Image:
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if is_deep(image):
        assert highest is not None
        return eight_bits(image, highest).convert("RGB")
    if "A" in image.mode or "a" in image.mode or "transparency" in image.info:
        layer = image.convert("RGBA")
        ground = Image.new("RGBA", layer.size, ImageColor.getrgb(background))
        return Image.alpha_composite(ground, layer).convert("RGB")
    return image.convert("RGB")
