"""Decode every image once before a run begins, and remember those that are intact.

Otherwise a search that decodes images during training might meet a damaged one after hours. Intact images
are remembered by 64-bit digests of path, size and modification time, in one small file per data set, so
that the next start checks only changed files.
"""

from __future__ import annotations

import hashlib
import io
import logging
import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import __version__ as pillow_version

from latency.measuring.user_folders import cache_folder
from nas.data.image_files.decode import ProgressCallback, for_each, try_decode
from nas.data.image_files.pictures import Pictures
from nas.data.image_files.preparation import PLAIN, Preparation
from nas.data.image_files.unreadable import Unreadable, UnreadableError

CHECKED_PX = 32
RULES = 1
"""Version of the checks; files that passed an older one are checked again."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Memory:
    """The images of one data set that are known to be intact.

    Attributes:
        path: The file; None remembers nothing.
    """

    path: Path | None

    @classmethod
    def of(cls, data_set: str) -> Memory:
        """Return the memory of a data set, by its name or its folder's path."""
        key = f"{os.path.realpath(data_set)}|{pillow_version}|{RULES}"
        name = hashlib.blake2b(key.encode("utf-8", "surrogateescape"), digest_size=12).hexdigest()
        return cls(cache_folder() / "checked-images" / f"{name}.npy")

    def read(self) -> set[int]:
        """Return the digests of intact images; empty if the file is missing or damaged."""
        if self.path is None:
            return set()
        try:
            kept = np.load(io.BytesIO(self.path.read_bytes()), allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return set()  # check all images again and overwrite the file
        return set(kept.tolist()) if kept.dtype == np.uint64 else set()

    def write(self, good: set[int]) -> None:
        """Save the digests; on failure, log that the next start must check again."""
        if self.path is None:
            return
        kept: NDArray[np.uint64] = np.array(sorted(good), np.uint64)
        temporary = None
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(dir=self.path.parent, suffix=".part")
            temporary = Path(name)
            with os.fdopen(descriptor, "wb") as file:
                np.save(file, kept, allow_pickle=False)
            temporary.replace(self.path)
        except OSError as error:
            if temporary is not None:
                with suppress(OSError):  # if nothing can be written, nothing can be removed
                    temporary.unlink(missing_ok=True)
            _log.warning(
                "%s: %s: cannot save which images have been checked: the next start checks them again",
                self.path.parent,
                error.strerror,
            )


FORGETFUL = Memory(None)


def find_unreadable(
    splits: Mapping[str, Pictures],
    memory: Memory,
    *,
    size_px: int = CHECKED_PX,
    preparation: Preparation = PLAIN,
    progress: ProgressCallback | None = None,
    quiet_s: float = 2.0,
) -> dict[str, dict[int, Unreadable]]:
    """Decode every image that is not known to be intact.

    Args:
        splits: The images.
        memory: Known images; updated.
        size_px: Resolution to decode at.
        preparation: That of the data set.
        progress: Called with (images done, total) once the work has taken `quiet_s` seconds.
        quiet_s: Seconds of work before the first call.

    Returns:
        Images that cannot be read, by split and index.
    """
    good = memory.read()
    everyone = [(name, i) for name, part in splits.items() for i in range(len(part))]
    stamped = [_stamp(splits[name], index) for name, index in everyone]
    new = [position for position, stamp in enumerate(stamped) if stamp is None or stamp not in good]

    def look(number: int) -> Unreadable | None:
        name, index = everyone[new[number]]
        decoded = try_decode(splits[name], index, size_px=size_px, preparation=preparation)
        return decoded if isinstance(decoded, Unreadable) else None

    bad = for_each(len(new), look, progress=progress, quiet_s=quiet_s)
    found: dict[str, dict[int, Unreadable]] = {name: {} for name in splits}
    for number, one in bad.items():
        name, index = everyone[new[number]]
        found[name][index] = one
    faulty = {new[number] for number in bad}
    sound = {s for position, s in enumerate(stamped) if s is not None and position not in faulty}
    if sound != good:
        memory.write(sound)
    return found


def require_readable(
    splits: Mapping[str, Pictures],
    memory: Memory,
    *,
    size_px: int,
    preparation: Preparation = PLAIN,
    progress: ProgressCallback | None = None,
) -> None:
    """Check that every image can be decoded; see `find_unreadable`.

    Raises:
        UnreadableError: Some cannot; all are listed.
    """
    found = find_unreadable(
        splits, memory, size_px=size_px, preparation=preparation, progress=progress
    )
    bad = [one for part in found.values() for one in part.values()]
    if bad:
        raise UnreadableError(bad)


def digest(stamp: str) -> int:
    """Return a number of 64 bits that stands for a file's stamp in a `Memory`."""
    short = hashlib.blake2b(stamp.encode("utf-8", "surrogateescape"), digest_size=8).digest()
    return int.from_bytes(short, "little")


def _stamp(pictures: Pictures, index: int) -> int | None:
    try:
        text = pictures.stamp(index)
    except OSError:
        return None
    return digest(text)
