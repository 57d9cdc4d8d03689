"""The file given by `--classes`: a network's class names in order, or the class of each folder."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from nas.checkpoints.class_names import composed, listed
from search_spaces import InputError

WANTED = (
    "give a text file with one class name per line in the order of the network's outputs, or a .yaml or "
    '.json file with lines such as "FOLDER: CLASS"'
)


@dataclass(frozen=True)
class ClassFile:
    """Contents of a class file; one of the two is empty.

    Attributes:
        path: The file.
        names: The network's classes in order.
        assigned: The class of each folder, an index or a name.
    """

    path: Path
    names: tuple[str, ...] = ()
    assigned: Mapping[str, int | str] = field(default_factory=dict)

    def named(self, count: int) -> tuple[str, ...]:
        """Return the names for a network of `count` classes.

        Raises:
            InputError: The file has another number of names.
        """
        if len(self.names) != count:
            raise InputError(
                f"{self.path} has {len(self.names)} class names, the network has {count} classes: "
                "give one name for each of its outputs, in order"
            )
        return self.names

    def indices(self, known: Sequence[str], *, named: bool = True) -> dict[str, int]:
        """Return the assigned classes as indices into a network's classes.

        Args:
            known: Names of the network's classes.
            named: Whether these are real names; placeholders cannot be referred to.

        Raises:
            InputError: An index is out of range, or a name does not identify one class.
        """
        by_name = defaultdict(list)
        for index, name in enumerate(known):
            by_name[composed(name)].append(index)
        return {
            folder: value
            if isinstance(value, int) and 0 <= value < len(known)
            else self._index(folder, value, by_name, count=len(known), named=named)
            for folder, value in self.assigned.items()
        }

    def _index(
        self,
        folder: str,
        value: int | str,
        by_name: Mapping[str, Sequence[int]],
        *,
        count: int,
        named: bool,
    ) -> int:
        """Return the index of the class that a folder is assigned to."""
        where, wanted = f"{self.path}, {folder!r}", f"an index of 0 to {count - 1}"
        if isinstance(value, int):
            raise InputError(f"{where}: class {value} is out of range: give {wanted}")
        if not named:
            raise InputError(
                f"{where}: the network's classes have no names, so {value!r} cannot be one of them: give "
                f"{wanted}"
            )
        found = by_name.get(composed(value), ())
        if len(found) == 1:
            return found[0]
        reason = (
            f"the network's classes {listed(map(str, found))} are all called {value!r}"
            if found
            else f"the network has no class {value!r}"
        )
        raise InputError(f"{where}: {reason}: give {wanted} instead")


def read_class_file(path: Path) -> ClassFile:
    """Read class names from a file.

    A .yaml, .yml or .json file holds a list of names or a mapping from folders to classes; any other file
    holds one name per line.

    Raises:
        InputError: The file cannot be read or has neither form.
    """
    if not path.is_file():
        problem = "is not a file" if path.exists() else "does not exist"
        raise InputError(f"{path} {problem}: {WANTED}")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}: {WANTED}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text: {WANTED}") from error
    if "\0" in text:
        raise InputError(f"{path}: not a text file: {WANTED}")
    suffix = path.suffix.lower()
    if suffix == ".json":
        return _of_data(path, _json(path, text))
    if suffix in (".yaml", ".yml"):
        return _of_data(path, _yaml(path, text))
    return _of_lines(path, text.splitlines())


def _of_lines(path: Path, lines: Sequence[str]) -> ClassFile:
    names = [line.strip() for line in lines]
    while names and not names[-1]:
        names.pop()
    if not names:
        raise InputError(f"{path} is empty: {WANTED}")
    if "" in names:
        raise InputError(
            f"{path}, line {names.index('') + 1} is empty: give a name for each of the network's classes"
        )
    return ClassFile(path, names=tuple(names))


def _of_data(path: Path, data: Any) -> ClassFile:
    if isinstance(data, list) and data and all(isinstance(name, str | int) for name in data):
        return ClassFile(path, names=tuple(map(str, data)))
    if not isinstance(data, _Pairs) or not data.pairs:
        raise InputError(f"{path}: neither a list of names nor a mapping: {WANTED}")
    folders = [folder for folder, _ in data.pairs]
    twice = [folder for folder, times in Counter(folders).items() if times > 1]
    if twice:
        raise InputError(f"{path}: {listed(map(repr, twice))} appears twice: keep one of them")
    for folder, value in data.pairs:
        if not isinstance(value, str | int) or isinstance(value, bool):
            raise InputError(
                f"{path}, {folder!r}: expected the index or the name of one class: {WANTED}"
            )
    return ClassFile(path, assigned=dict(data.pairs))


@dataclass(frozen=True)
class _Pairs:
    """A mapping as pairs, so that duplicate keys are detected."""

    pairs: list[tuple[str, Any]]


def _json(path: Path, text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_Pairs)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON ({error}): {WANTED}") from error


def _yaml(path: Path, text: str) -> Any:
    """Parse plain data, keeping names as written: `no`, 1e3 and 2024-01-01 are names."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        at = f" at line {mark.line + 1}" if mark else ""
        raise InputError(f"{path}: not YAML{at}: {WANTED}") from error
    if isinstance(node, yaml.SequenceNode):
        return [item.value if isinstance(item, yaml.ScalarNode) else None for item in node.value]
    if isinstance(node, yaml.MappingNode) and all(
        isinstance(key, yaml.ScalarNode) for key, _ in node.value
    ):
        return _Pairs([(str(key.value), _scalar(value)) for key, value in node.value])
    return None


def _scalar(node: yaml.Node) -> str | int | None:
    if not isinstance(node, yaml.ScalarNode):
        return None
    if node.style is None and re.fullmatch(r"-?[0-9]{1,9}", node.value):
        return int(node.value)
    return str(node.value)
