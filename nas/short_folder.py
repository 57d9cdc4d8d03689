"""Find a folder whose path is short enough for Unix sockets.

The path of a Unix socket has at most 107 bytes, and Ray appends over 60 to its folder.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from search_spaces import InputError

LONGEST = 36
"""Maximum length of a folder's path that leaves room for Ray's sockets."""

PLACES = ("/tmp", "/var/tmp", "/dev/shm", "$XDG_RUNTIME_DIR", "/run/shm")  # noqa: S108 - tried in this order


@contextmanager
def short_folder() -> Iterator[str | None]:
    """Yield a folder for Ray's files, or None if Ray's own choice is short enough.

    A folder created here is removed at the end.

    Raises:
        InputError: There is no usable folder.
    """
    chosen = os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp"  # noqa: S108 - as Ray chooses
    if usable(chosen):
        yield None
        return
    folders = filter(usable, map(os.path.expandvars, PLACES))
    if (folder := next(folders, None)) is None:
        raise InputError(
            f"Ray needs a writable folder with a path of at most {LONGEST} ASCII characters, and neither "
            f"{chosen} nor /tmp is one: set RAY_TMPDIR to one, or give --workers 0"
        )
    made = tempfile.mkdtemp(prefix="nas-", dir=folder)
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def usable(folder: str) -> bool:
    """Whether Ray can use a folder.

    >>> usable("/tmp/" + 70 * "x"), usable("/absent")
    (False, False)
    """
    plain = folder.isascii() and not any(letter.isspace() for letter in folder)
    if not plain or len(folder) > LONGEST or not Path(folder).is_absolute():
        return False
    return Path(folder).is_dir() and os.access(folder, os.W_OK | os.X_OK)


def shorten_sockets() -> None:
    """Use a short folder for the sockets of data-loading processes, which hang if the path is too long.

    Python chooses the folder once per process, inside the folder for temporary files.
    """
    settings = multiprocessing.current_process()._config  # type: ignore[attr-defined]
    if settings.get("tempdir") is not None or len(tempfile.gettempdir()) <= LONGEST:
        return
    if folder := next(filter(usable, map(os.path.expandvars, PLACES)), None):
        settings["tempdir"] = made = tempfile.mkdtemp(prefix="nas-", dir=folder)
        atexit.register(shutil.rmtree, made, ignore_errors=True)
