"""The user's home and cache folders, also in containers and service accounts without a home."""

from __future__ import annotations

import logging
import os
import tempfile
from pathlib import Path

from search_spaces.errors import InputError

VARIABLE = "MOBILE_NAS_CACHE"

_log = logging.getLogger(__name__)
_warned: set[str] = set()


def ensure_home() -> Path:
    """Return the user's home, or a temporary folder in its place, and set `HOME` to it.

    Ray and other libraries fail without a home.
    """
    given = os.environ.get("HOME", "")
    found = Path(given) if Path(given).is_absolute() else _account_home()
    if found is None or not found.is_dir():
        where = f"{found} does not exist" if found else "this user has none"
        found = temporary_home()
        _warn_once(f"no home folder ({where}): using {found}; set HOME to choose another")
    if os.environ.get("HOME") != str(found):
        os.environ["HOME"] = str(found)
    return found


def expand_user(path: str) -> Path:
    """Replace `~` and `~user` in a path; unchanged if the system knows no such home.

    >>> expand_user("~nobody-of-this-name/photos")
    PosixPath('~nobody-of-this-name/photos')
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def cache_folder() -> Path:
    """Return the folder of cached readings: $MOBILE_NAS_CACHE, else one in the user's cache folder.

    If that cannot be written, it is a temporary folder, which is logged once.

    Raises:
        InputError: $MOBILE_NAS_CACHE cannot be written.
    """
    if given := os.environ.get(VARIABLE):
        folder = expand_user(given)
        if problem := write_problem(folder):
            raise InputError(f"{folder}: {problem}: set {VARIABLE} to a writable folder")
        return folder
    shared = os.environ.get("XDG_CACHE_HOME", "")
    caches = Path(shared) if Path(shared).is_absolute() else ensure_home() / ".cache"
    folder = caches / "mobile-nas" / "latency"
    if problem := write_problem(folder):
        spare = temporary_home() / ".cache" / "mobile-nas" / "latency"
        if write_problem(spare):
            raise InputError(f"{folder}: {problem}: set {VARIABLE} to a writable folder")
        _warn_once(
            f"{folder}: {problem}: storing latencies in {spare}; set {VARIABLE} to another folder"
        )
        folder = spare
    return folder


def write_problem(folder: Path) -> str:
    """Create a folder; return why it cannot be written, or an empty string."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"x")
            probe.flush()
    except OSError as error:
        return error.strerror or str(error)
    return ""


def temporary_home() -> Path:
    """Return a private folder of this user among the temporary files, the same each time."""
    user = os.getuid() if hasattr(os, "getuid") else 0
    folder = Path(tempfile.gettempdir()) / f"mobile-nas-{user}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        state = folder.lstat()
        # Everyone can write here, so another user may have created something of this name.
        ours = folder.is_dir() and not folder.is_symlink() and state.st_uid == user
    except OSError:
        ours = False
    return folder if ours else Path(tempfile.mkdtemp(prefix="mobile-nas-"))


def _account_home() -> Path | None:
    """Return the home of this process's account; None if the system does not know the account."""
    try:
        import pwd

        return Path(pwd.getpwuid(os.getuid()).pw_dir)
    except (ImportError, KeyError):
        return None


def _warn_once(message: str) -> None:
    if message not in _warned:
        _warned.add(message)
        _log.warning("%s", message)
