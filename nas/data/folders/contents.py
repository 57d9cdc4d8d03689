"""The files of a data set, which a run records to report changes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from nas.data.image_files.pictures import Pictures


@dataclass(frozen=True)
class Contents:
    """The files of each split.

    Attributes:
        splits: CLASS/FILE and its size in bytes, by split.
        held_out: Splits that were taken from train because the folder has none.
    """

    splits: Mapping[str, Mapping[str, int]]
    held_out: tuple[str, ...] = ()

    @classmethod
    def of(cls, pictures: Mapping[str, Pictures], held_out: tuple[str, ...]) -> Self | None:
        """List the files of pictures; None if they are not files."""
        splits = {}
        for split, part in pictures.items():
            if part.names is None:
                return None
            sizes = (part.size_bytes(index) for index in range(len(part.names)))
            splits[split] = dict(zip(part.names, sizes, strict=True))
        return cls(splits, held_out)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return {"splits": self.splits, "held_out": list(self.held_out)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Inverse of `to_dict`."""
        return cls(data["splits"], tuple(data["held_out"]))

    @property
    def drawn_from(self) -> set[str]:
        """Names in train and in splits taken from it."""
        pool = ("train", *self.held_out)
        return {name for split in pool for name in self.splits.get(split, {})}


def changes(before: Contents, now: Contents) -> list[str]:
    """Describe the differences, one phrase for each kind; empty if there are none.

    Images that were drawn from train are counted under `train`, wherever they are now.

    >>> old = Contents({"train": {"a/1.jpg": 10}, "test": {"a/2.jpg": 10}})
    >>> changes(old, Contents({"train": {"a/1.jpg": 10, "b/3.jpg": 10}, "test": {}}))
    ['1 image was added to train (b)', '1 was removed from test (a)']
    """
    phrases: list[str] = []
    for split in before.splits:
        if split in before.held_out:
            continue
        old, new = _pool(before, split, now), _pool(now, split, before)
        changed = [name for name in old.keys() & new.keys() if old[name] != new[name]]
        phrases += _phrase(sorted(new.keys() - old.keys()), f"added to {split}", phrases)
        phrases += _phrase(sorted(old.keys() - new.keys()), f"removed from {split}", phrases)
        phrases += _phrase(sorted(changed), f"changed in {split}", phrases)
    return phrases


def _pool(contents: Contents, split: str, other: Contents) -> Mapping[str, int]:
    """Return a split's files; for train, also those that both drew from it."""
    pooled = dict(contents.splits.get(split, {}))
    if split == "train":
        for drawn in {*contents.held_out, *other.held_out}:
            pooled |= contents.splits.get(drawn, {})
    return pooled


def _phrase(names: list[str], verb: str, before: list[str]) -> list[str]:
    if not names:
        return []
    count = len(names)
    unit = "" if before else (" image" if count == 1 else " images")
    classes = Counter(name.partition("/")[0] for name in names)
    listed = [name if n == count else f"{n} {name}" for name, n in classes.most_common(3)]
    more = f" and {len(classes) - 3} more classes" if len(classes) > 3 else ""
    was = "was" if count == 1 else "were"
    return [f"{count}{unit} {was} {verb} ({', '.join(listed)}{more})"]
