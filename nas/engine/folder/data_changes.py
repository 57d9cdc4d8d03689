"""Changes of a run's images: which files it began with, what changed since, and how to resume with it."""

from __future__ import annotations

import gzip
import json
import zlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from nas.atomic_files import read_json, write_whole
from nas.data.folders.contents import Contents, changes
from nas.engine.folder.records import parse_record
from nas.engine.folder.run_folder import RunFolder
from nas.engine.folder.run_metadata import DataMetadata, ImagesOfRun, Rgb
from nas.formatting import counted
from search_spaces import InputError

if TYPE_CHECKING:
    from nas.data.load import ImageSource

FILE = "data.json.gz"
"""The names and sizes of a run's images, by split."""

WAYS = (
    "restore the images, resume with --accept-data-changes (the run notes them), or begin a new run"
)
OF_TRAININGS = "restore the images, or begin anew"
NAMED_CLASSES = 3


def read_contents(folder: RunFolder) -> Contents | None:
    """Return the files that a run began with; None where its folder does not say.

    Raises:
        InputError: The record is damaged.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        return Contents.from_dict(json.loads(gzip.decompress(path.read_bytes())))
    except (OSError, EOFError, ValueError, KeyError, TypeError, zlib.error) as error:
        raise InputError(
            f"{path}: damaged ({error}): restore it from a copy, or remove it (the run then cannot tell "
            "which of its images are new)"
        ) from error


def write_contents(folder: RunFolder, contents: Contents) -> None:
    """Record the files of a run's images."""
    plain = json.dumps(contents.to_dict(), ensure_ascii=True).encode()
    write_whole(folder / FILE, gzip.compress(plain, mtime=0))


@dataclass(frozen=True)
class Resumed:
    """A resumed run, as far as its images are concerned.

    Attributes:
        folder: The run's.
        accept_changes: Whether changed images are accepted.
    """

    folder: RunFolder
    accept_changes: bool = False

    def checked(self, source: ImageSource, before: Contents | None) -> ImageSource:
        """Return the images to resume with, normalised as those that the run began with.

        Args:
            source: The images as they are now.
            before: See `read_contents`.

        Raises:
            InputError: They have changed, which is not accepted, or their classes have.
        """
        path = self.folder / "run.json"
        content = read_json(path) if path.is_file() else {}
        run = parse_record(ImagesOfRun, content, where=path)
        # A NetAdapt run's classes are its seed's, which folders are matched with.
        if not run.kind and run.data is not None:
            require_same_classes(self.folder, run.data, source.classes)
        changed = describe_changes(source, before, run.data)
        if changed and not self.accept_changes:
            ways = WAYS if path.is_file() else OF_TRAININGS
            raise InputError(f"{self.folder.path}: {', '.join(changed)}: {ways}")
        if not (self.accept_changes or run.data_changes):
            return source
        # Networks that have been trained were shown images normalised so.
        return replace(
            source,
            normalized=_statistics(run.data),
            changes=tuple(changed),
            accepts_changes=self.accept_changes,
        )


def require_same_classes(
    folder: RunFolder, recorded: DataMetadata, classes: tuple[str, ...]
) -> None:
    """Check that the classes are those that the run began with, as its networks' are.

    Raises:
        InputError: Some were added, or are gone.
    """
    before = recorded.class_names
    if before is None or classes == before:
        return
    changed = [
        f"{'class' if len(names) == 1 else 'classes'} {_some(names)} {verb}"
        for names, verb in (
            ([name for name in classes if name not in before], "added"),
            ([name for name in before if name not in classes], "removed"),
        )
        if names
    ]
    raise InputError(
        f"{folder.path}: {', '.join(changed) or 'the order of the classes changed'} since the run began; a "
        "run keeps its classes: restore the class folders, or begin a new run"
    )


def describe_changes(
    source: ImageSource, before: Contents | None, recorded: DataMetadata | None
) -> list[str]:
    """Describe each change in a phrase."""
    if before is not None and source.contents is not None:
        changed = changes(before, source.contents)
        return [f"{changed[0]} since the run began", *changed[1:]] if changed else []
    if recorded is None:
        return []
    counts = {"train": recorded.train, "val": recorded.val, "test": recorded.test}
    changed = [
        f"{split} had {counted(counts[split], 'image')} when the run began and has {len(part):,} now"
        for split, part in source.pictures.items()
        if counts[split] != len(part)
    ]
    if changed and source.contents is not None and source.contents.held_out:
        changed.append(
            "which of them are held out is drawn anew, since the run has no list of its images"
        )
    return changed


def _statistics(recorded: DataMetadata | None) -> tuple[Rgb, Rgb] | None:
    """Return the mean and deviation that the run began with; None where it does not say."""
    if recorded is None or recorded.mean is None or recorded.std is None:
        return None
    return recorded.mean, recorded.std


def _some(names: list[str]) -> str:
    shown = ", ".join(map(repr, names[:NAMED_CLASSES]))
    return shown + (f" and {len(names) - NAMED_CLASSES} more" if names[NAMED_CLASSES:] else "")
