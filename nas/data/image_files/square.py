"""Convert an image of any mode and size to a small RGB square."""

from __future__ import annotations

from PIL import Image, ImageColor

from nas.data.image_files.depth import White, declared_white, eight_bits, is_deep, white_of
from nas.data.image_files.orientation import loaded

BACKGROUND = "white"
LARGE_PIXELS = 32_000_000
"""Larger images are converted strip by strip: each copy of 200 megapixels takes 800 MB."""

STRIP_PIXELS = 4_000_000

Box = tuple[int, int, int, int]


def square_rgb(
    image: Image.Image, size_px: int, *, background: str = BACKGROUND, white: White | None = None
) -> Image.Image:
    """Turn upright (EXIF), convert to RGB, scale the shorter side to `size_px` and crop the center square.

    Args:
        image: As Pillow opened it; its pixels may not be read yet.
        size_px: Height and width of the result.
        background: Color behind transparent pixels, as PIL's `ImageColor` names it.
        white: White level of its data set's images of more than eight bits: see `White`.

    Raises:
        ValueError: The white level of such an image cannot be determined.

    >>> square_rgb(Image.new("L", (40, 20)), 10).size
    (10, 10)
    """
    # JPEG can decode at a half, quarter or eighth; twice the target is enough for the filter.
    image.draft("RGB", (2 * size_px, 2 * size_px))
    declared = declared_white(image) if is_deep(image) else None
    turn = loaded(image)
    highest = None
    if is_deep(image):
        highest = white_of(image, declared=declared, common=(white or White()).of(image))
    if image.width * image.height > LARGE_PIXELS:
        image, highest = _reduced(image, 2 * size_px, background, highest), None
    if turn is not None:
        image = image.transpose(turn)
    rgb = _to_rgb(image, background, highest)
    box = _centre(rgb)
    if box[2] - box[0] == size_px:
        return rgb.crop(box)
    return rgb.resize((size_px, size_px), Image.Resampling.BILINEAR, box=box)


def _centre(image: Image.Image) -> Box:
    """Return the largest centered square."""
    width, height = image.size
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    return left, top, left + side, top + side


def _reduced(
    image: Image.Image, least_px: int, background: str, highest: int | None
) -> Image.Image:
    """Return the center square in RGB, reduced by an integer factor to at least `least_px`, in strips."""
    left, top, right, _ = _centre(image)
    factor = max(1, (right - left) // least_px)
    cells = (right - left) // factor
    small = Image.new("RGB", (cells, cells))
    step = max(1, STRIP_PIXELS // (cells * factor * factor))  # rows of cells per strip
    for row in range(0, cells, step):
        rows = min(step, cells - row)
        upper = top + row * factor
        strip = image.crop((left, upper, left + cells * factor, upper + rows * factor))
        small.paste(_to_rgb(strip, background, highest).reduce(factor), (0, row))
    return small


def _to_rgb(image: Image.Image, background: str, highest: int | None) -> Image.Image:
    if image.mode == "RGB":
        return image
    if is_deep(image):
        assert highest is not None
        return eight_bits(image, highest).convert("RGB")
    if "A" in image.mode or "a" in image.mode or "transparency" in image.info:
        layer = image.convert("RGBA")
        ground = Image.new("RGBA", layer.size, ImageColor.getrgb(background))
        return Image.alpha_composite(ground, layer).convert("RGB")
    return image.convert("RGB")
