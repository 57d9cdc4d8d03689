"""Map a data set's classes to a network's outputs; nothing else does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from nas.checkpoints.class_file import ClassFile
from nas.checkpoints.class_names import (
    Matches,
    composed,
    in_order,
    listed,
    matched,
    notes,
    require_matched,
)
from nas.checkpoints.usage import Usage
from search_spaces import InputError


@dataclass(frozen=True)
class ClassMap:
    """The classes that folders stand for.

    Attributes:
        folders: The data's classes.
        names: The network's classes, one per output.
        matches: The class of each folder, and folders without one.
        notes: What the user should know about the match.
        named: Whether all `names` are real, without placeholders.
    """

    folders: tuple[str, ...]
    names: tuple[str, ...]
    matches: Matches
    notes: tuple[str, ...]
    named: bool = True

    def indices(self) -> tuple[int, ...]:
        """Return the network's class of each folder.

        Raises:
            InputError: A folder has no class.
        """
        require_matched(self.matches, self.names)
        return tuple(self.matches.indices[folder] for folder in self.folders)

    def usage(self, usage: Usage) -> Usage:
        """Return the network's usage with its class names, if all of them are known now.

        If only some classes would get names, none does: a placeholder such as "4" among names would match
        a folder of that name.
        """
        if not self.named:
            return usage
        return replace(usage, classes=self.names, named=True)


def class_map(folders: tuple[str, ...], usage: Usage, classes: ClassFile | None = None) -> ClassMap:
    """Match a data set's classes to a network's.

    Match by name if the network's classes have names or get them from a file. Classes without names are
    matched in the order of the folders, if there are as many.

    Args:
        folders: The data's classes.
        usage: The network's classes.
        classes: Contents of the file given by `--classes`.

    Raises:
        InputError: Names are required and missing, or the file does not fit the network.
    """
    known, named = usage.classes, usage.named
    if classes is not None and classes.names:
        known, named = classes.named(len(known)), True
    given = {} if classes is None else classes.indices(known, named=named)
    ours = {composed(folder): folder for folder in folders}
    given = {ours.get(composed(name), name): index for name, index in given.items()}
    if named:
        found = matched(folders, known, given=given)
        return ClassMap(
            folders, known, found, tuple(notes(found, known) + _unused(given, folders, classes))
        )
    if not given:
        _require_as_many(folders, known)
        found = Matches({name: index for index, name in enumerate(folders)}, (), (), {})
        return ClassMap(folders, folders, found, (in_order(folders),))
    return _assigned(folders, known, given, classes)


def _assigned(
    folders: tuple[str, ...],
    known: tuple[str, ...],
    given: dict[str, int],
    classes: ClassFile | None,
) -> ClassMap:
    """Assign classes by the file alone, because the network's classes have no names."""
    without = [name for name in folders if name not in given]
    if without:
        assert classes is not None
        raise InputError(
            f"the network's classes have no names, and {classes.path} does not say which of them "
            f"{listed(map(repr, without))} is: add a line with the index for each"
        )
    names = list(known)
    for folder in folders:
        names[given[folder]] = folder
    found = Matches({name: given[name] for name in folders}, (), (), {})
    named = set(found.indices.values()) == set(range(len(known)))
    return ClassMap(folders, tuple(names), found, tuple(_unused(given, folders, classes)), named)


def _require_as_many(folders: Sequence[str], known: Sequence[str]) -> None:
    if len(folders) != len(known):
        raise InputError(
            f"the network's {len(known)} classes have no names, and the data has {len(folders)}: "
            "their order is unknown; give --classes FILE with the names of the network's classes, one a "
            "line in their order"
        )


def _unused(given: dict[str, int], folders: Sequence[str], classes: ClassFile | None) -> list[str]:
    absent = given.keys() - set(folders)
    unused = [repr(name) for name in given if name in absent]
    if not unused:
        return []
    assert classes is not None
    return [f"{classes.path} names folders that the data does not have: {listed(unused)}"]
