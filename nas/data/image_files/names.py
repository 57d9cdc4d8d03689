"""Printable names of folders and files: in Unicode's composed form, without stray bytes.

File systems store names as bytes. The same word may be in composed or decomposed form (NFC, NFD), not be
valid UTF-8, or contain control characters; reports, logs and checkpoints need one form.
"""

from __future__ import annotations

import os
import unicodedata

_DIRECTION_MARKS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def printable(name: str) -> str:
    r"""Return a file name or path that every encoding, log and terminal accepts.

    Invalid UTF-8 is read as Latin-1; control characters, and marks that change the writing direction, are
    escaped.

    >>> printable("caf\udce9\n")
    'café\\n'
    """
    if any(0xD800 <= ord(letter) <= 0xDFFF for letter in name):
        parts = name.split(os.sep)  # noqa: PTH206  a Path would drop . and //
        name = os.sep.join(map(_decoded, parts))  # noqa: PTH118
    return "".join(map(_escaped, name))


def class_name(folder: str) -> str:
    r"""Return the class name of a folder: printable and composed (NFC).

    >>> class_name("cafe\u0301") == class_name("caf\xe9")
    True
    """
    return unicodedata.normalize("NFC", printable(folder))


def _decoded(name: str) -> str:
    try:
        return os.fsencode(name).decode("utf-8")
    except UnicodeDecodeError:
        return os.fsencode(name).decode("latin-1")
    except UnicodeEncodeError:  # a lone surrogate that stands for no byte
        return name.encode("utf-8", "backslashreplace").decode("utf-8")


def _escaped(letter: str) -> str:
    if unicodedata.category(letter) in ("Cc", "Zl", "Zp") or letter in _DIRECTION_MARKS:
        return letter.encode("unicode_escape").decode("ascii")
    return letter
