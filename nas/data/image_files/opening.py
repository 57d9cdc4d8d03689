"""Open image files with Pillow's plug-ins, within limits and whatever their metadata contains.

`Image.open` limits the size of photos by a setting that is global to the process, and passes files to
unwanted plug-ins (Ghostscript for an EPS named .jpg). Here plug-ins are tried one by one, with our own
limit.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from nas.data.image_files.formats import openers, suffixes
from nas.data.image_files.plain_files import without_metadata

MAX_MEGAPIXELS = 400.0
"""Per image; phones take up to 200."""

MOST_SCANS = 20
MOST_SCANNED_MEGAPIXELS = 4000.0
"""Scans times megapixels of a progressive JPEG with more than `MOST_SCANS`: about a minute of decoding."""

_PREFIX_BYTES = 16


class UnusableError(ValueError):
    """Says why a file cannot be used; the message follows its name."""


def open_file(path: Path, *, max_megapixels: float = MAX_MEGAPIXELS) -> Image.Image:
    """Open an image file without reading its pixels.

    Raises:
        UnusableError: It is not an image, is damaged at its beginning, or is too large.
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        prefix = file.read(_PREFIX_BYTES)
    image = _open(path, prefix, suffix=path.suffix)
    return _within(image, path, max_megapixels)


def open_plain(path: Path, *, max_megapixels: float = MAX_MEGAPIXELS) -> Image.Image | None:
    """Open an image file without its metadata except EXIF's orientation; None if it has no metadata.

    Raises:
        UnusableError: See `open_file`.
        OSError: It cannot be read.
    """
    plain = without_metadata(path.read_bytes())
    if plain is None:
        return None
    image = _open(io.BytesIO(plain.content), plain.content[:_PREFIX_BYTES], suffix=path.suffix)
    image.info["exif"] = plain.exif
    return _within(image, path, max_megapixels)


def _open(source: Path | io.BytesIO, prefix: bytes, *, suffix: str) -> Image.Image:
    """Try the plug-ins that recognize the first bytes; those that cannot tell are chosen by suffix."""
    if not prefix:
        raise UnusableError("empty file")
    problem = None
    for name in _candidates(prefix, suffix):
        factory, _ = openers()[name]
        if isinstance(source, io.BytesIO):
            source.seek(0)
        try:
            image = factory(source, str(source) if isinstance(source, Path) else None)
        except MemoryError:
            raise
        except OSError as error:
            if error.strerror:  # from the system, not about the format
                raise
            problem = problem or UnusableError(f"damaged {name} file: {reason(error)}")
        except Exception as error:  # noqa: BLE001  plug-ins may raise anything on damaged files
            problem = problem or UnusableError(f"damaged {name} file: {reason(error)}")
        else:
            assert isinstance(image, Image.Image)
            return image
    raise problem or UnusableError("not an image")


def _candidates(prefix: bytes, suffix: str) -> Iterator[str]:
    by_suffix = suffixes().get(suffix.lower())
    for name, (_, accept) in openers().items():
        if name == by_suffix if accept is None else _accepts(accept, prefix):
            yield name


def _accepts(accept: object, prefix: bytes) -> bool:
    try:
        return accept(prefix) is True  # type: ignore[operator]
    except (IndexError, ValueError, TypeError, ArithmeticError):  # truncated prefix
        return False
    except Exception as error:
        if type(error).__module__ == "struct":
            return False
        raise


def reason(error: BaseException) -> str:
    """Return an error's message as one line, or its type if it has none."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = " ".join(str(error).split())
    if isinstance(error, ValueError | OSError | SyntaxError) and text:
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _within(image: Image.Image, path: Path, max_megapixels: float) -> Image.Image:
    try:
        _check(image, path, max_megapixels)
    except BaseException:
        image.close()
        raise
    return image


def _check(image: Image.Image, path: Path, max_megapixels: float) -> None:
    width, height = image.size
    if width < 1 or height < 1:
        raise UnusableError(f"{width} x {height} pixels")
    megapixels = width * height / 1e6
    if megapixels > max_megapixels:
        raise UnusableError(
            f"{width} x {height} pixels are {megapixels:.0f} megapixels, above the limit of "
            f"{max_megapixels:g} (--max-megapixels)"
        )
    if image.info.get("progressive"):
        scans = path.read_bytes().count(b"\xff\xda")
        if scans > MOST_SCANS and scans * megapixels > MOST_SCANNED_MEGAPIXELS:
            raise UnusableError(f"{scans} scans of {megapixels:.0f} megapixels; save it again")
