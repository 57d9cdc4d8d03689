"""libtiff's own messages on standard error, switched off: what it cannot decode is named by us."""

from __future__ import annotations

import ctypes
import ctypes.util
from contextlib import suppress
from pathlib import Path

import PIL


def silence() -> None:
    """Take away the handlers by which Pillow's libtiff prints, where the library is found."""
    for library in _libraries():
        with suppress(OSError, AttributeError):
            loaded = ctypes.CDLL(library)
            loaded.TIFFSetErrorHandler(None)
            loaded.TIFFSetWarningHandler(None)


def _libraries() -> list[str]:
    """The libtiff of Pillow's wheel, or else the system's."""
    package = Path(PIL.__file__).parent
    beside = (package.parent / "pillow.libs", package / ".dylibs")
    carried = [str(path) for folder in beside for path in sorted(folder.glob("libtiff*"))]
    found = ctypes.util.find_library("tiff") if not carried else None
    return carried or ([found] if found else [])
