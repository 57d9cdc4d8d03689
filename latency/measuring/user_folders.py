"""Folders of the user's own, also where there is no home: in a container, or for a service's account."""

from __future__ import annotations

import logging
import os
import tempfile
from pathlib import Path

from search_spaces.errors import InputError

VARIABLE = "MOBILE_NAS_CACHE"

_log = logging.getLogger(__name__)
_said: set[str] = set()


def home() -> Path:
    """The user's home, or a temporary folder in its place.

    That folder becomes this process's `HOME`, since Ray and other libraries end where there is none.
    """
    given = os.environ.get("HOME", "")
    found = Path(given) if Path(given).is_absolute() else _of_account()
    if found is None or not found.is_dir():
        where = f"{found} does not exist" if found else "this user has none"
        found = temporary_home()
        _say(f"no home folder ({where}): {found} takes its place; set HOME to another")
    if os.environ.get("HOME") != str(found):
        os.environ["HOME"] = str(found)
    return found


def expanded(path: str) -> Path:
    """A path with `~` and `~user` replaced; as it is where the system knows of no such home.

    >>> expanded("~nobody-of-this-name/photos")
    PosixPath('~nobody-of-this-name/photos')
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def cache_folder() -> Path:
    """Where readings are kept: $MOBILE_NAS_CACHE, else in the user's cache folder.

    Where that cannot be written, they are kept in a temporary folder, which is logged once.

    Raises:
        InputError: $MOBILE_NAS_CACHE cannot be written.
    """
    if given := os.environ.get(VARIABLE):
        folder = expanded(given)
        if problem := unwritable(folder):
            raise InputError(
                f"{folder}: {problem}: nothing can be kept there; set {VARIABLE} to a folder that can be "
                "written"
            )
        return folder
    shared = os.environ.get("XDG_CACHE_HOME", "")
    caches = Path(shared) if Path(shared).is_absolute() else home() / ".cache"
    folder = caches / "mobile-nas" / "latency"
    if problem := unwritable(folder):
        spare = temporary_home() / ".cache" / "mobile-nas" / "latency"
        if unwritable(spare):
            raise InputError(f"{folder}: {problem}: set {VARIABLE} to a folder that can be written")
        _say(
            f"{folder}: {problem}: latencies are kept in {spare}; set {VARIABLE} to another folder"
        )
        folder = spare
    return folder


def unwritable(folder: Path) -> str:
    """Why a folder cannot be made or written; empty if it can. It is there afterwards."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"x")
            probe.flush()
    except OSError as error:
        return error.strerror or str(error)
    return ""


def temporary_home() -> Path:
    """A folder of this user's alone in the one for temporary files, the same each time."""
    user = os.getuid() if hasattr(os, "getuid") else 0
    folder = Path(tempfile.gettempdir()) / f"mobile-nas-{user}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        state = folder.lstat()
        # In a folder that all may write, another user may have put something of this name.
        ours = folder.is_dir() and not folder.is_symlink() and state.st_uid == user
    except OSError:
        ours = False
    return folder if ours else Path(tempfile.mkdtemp(prefix="mobile-nas-"))


def _of_account() -> Path | None:
    """The home of this process's account; None where it is not one of the system's."""
    try:
        import pwd

        return Path(pwd.getpwuid(os.getuid()).pw_dir)
    except (ImportError, KeyError):
        return None


def _say(message: str) -> None:
    if message not in _said:
        _said.add(message)
        _log.warning("%s", message)
