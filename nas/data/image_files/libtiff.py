"""Silence libtiff's own messages on standard error; we report what it cannot decode."""

from __future__ import annotations

import ctypes
import ctypes.util
from contextlib import suppress
from pathlib import Path

import PIL


def silence() -> None:
    """Remove the handlers with which Pillow's libtiff prints, if the library is found."""
    for library in _libraries():
        with suppress(OSError, AttributeError):
            loaded = ctypes.CDLL(library)
            loaded.TIFFSetErrorHandler(None)
            loaded.TIFFSetWarningHandler(None)


def _libraries() -> list[str]:
    """Return the libtiff of Pillow's wheel, or else the system's."""
    package = Path(PIL.__file__).parent
    beside = (package.parent / "pillow.libs", package / ".dylibs")
    carried = [str(path) for folder in beside for path in sorted(folder.glob("libtiff*"))]
    found = ctypes.util.find_library("tiff") if not carried else None
    return carried or ([found] if found else [])
