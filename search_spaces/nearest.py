"""Suggestions for misspelt names."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(typed: str, known: Iterable[str]) -> str:
    """Return a suggestion to append to an error message; empty if no known name is similar.

    Case, hyphens, underscores, spaces and dots are ignored.

    >>> did_you_mean("mobilenetv3_small", ["mobilenet_v3_small", "mobilenet_v3_large"])
    ': did you mean mobilenet_v3_small?'
    >>> did_you_mean("toaster", ["cpu", "adb"])
    ''
    """
    found = nearest(typed, known)
    return f": did you mean {found}?" if found else ""


def nearest(typed: str, known: Iterable[str]) -> str | None:
    """Return the most similar known name, or None.

    >>> nearest("Pixel 1", ["pixel1", "pixel2"])
    'pixel1'
    """
    by_plain: dict[str, str] = {}
    for name in known:
        by_plain.setdefault(_plain(name), name)
    close = get_close_matches(_plain(typed), by_plain, n=1, cutoff=0.7)
    return by_plain[close[0]] if close else None


def _plain(name: str) -> str:
    return re.sub(r"[\s._-]+", "", name).casefold()
