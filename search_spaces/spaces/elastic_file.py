"""YAML files of sub-networks: the parent by name, and what there is to choose from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import ValidationError

from search_spaces.errors import InputError, first_problem
from search_spaces.nearest import did_you_mean
from search_spaces.references import REFERENCES
from search_spaces.spaces.elastic import ElasticSpace, total_stride
from search_spaces.spec import SCHEMA, ArchSpec, from_dict, load, read_yaml, to_dict

YAML = (".yaml", ".yml")


@dataclass(frozen=True)
class ElasticFile:
    """A YAML file of a space with a parent. What it leaves open comes with the search.

    Attributes:
        path: The file.
        parent: The parent.
        named: What the file calls the parent.
        choices: The other keys of the file: fields of `ElasticSpace`.
    """

    path: str
    parent: ArchSpec
    named: str
    choices: Mapping[str, Any]

    @classmethod
    def read(cls, source: str | Path) -> Self | None:
        """Read a file and check it.

        Returns:
            None if `source` is the name of a space, or a file without a parent.

        Raises:
            InputError: The file cannot be read, its parent is unknown, or a key is unknown, missing or of a
                wrong type or value.
        """
        if not str(source).endswith(YAML):
            return None
        data = read_yaml(source)
        if not isinstance(data, dict) or "parent" not in data:
            return None
        if data.get("schema", SCHEMA) != SCHEMA:
            raise InputError(
                f"{source}: schema must be {SCHEMA}, got {data['schema']!r}: not a space of this version"
            )
        parent = _parent(data["parent"], Path(source))
        named = data["parent"] if isinstance(data["parent"], str) else "the network in it"
        choices = {key: value for key, value in data.items() if key not in ("schema", "parent")}
        file = cls(str(source), parent, named, choices)
        stride = total_stride(parent)
        file.space(classes=parent.head.classes, resolutions=(2 * stride, stride))
        return file

    @property
    def resolutions(self) -> tuple[int, ...] | None:
        """The sides of the input to choose from; None leaves them open."""
        given = self.choices.get("resolutions")
        return None if given is None else tuple(given)

    def space(self, *, classes: int, resolutions: Sequence[int]) -> ElasticSpace:
        """Return the space.

        Args:
            classes: Number of classes.
            resolutions: Sides of the input in pixels, if the file leaves them open.

        Raises:
            InputError: A choice is invalid.
        """
        head = replace(self.parent.head, classes=classes)
        parent = replace(self.parent, head=head)
        data = {"resolutions": list(resolutions)} | dict(self.choices) | {"parent": asdict(parent)}
        try:
            # Through JSON, where strict validation accepts a list for a tuple, and nothing else.
            space = ElasticSpace.model_validate_json(json.dumps(data))
        except ValidationError as error:
            raise InputError(f"{self.path}: {first_problem(error)}") from error
        except TypeError as error:  # a YAML date, set or binary
            raise InputError(f"{self.path}: {error}: use plain numbers and strings") from error
        largest = replace(parent, resolution=max(space.resolutions))
        return space.model_copy(update={"parent": largest})  # cached properties have no resolution

    def to_yaml(self) -> str:
        """Format the file with the parent itself in place of its name, so that it needs no other file."""
        data = {"schema": SCHEMA} | dict(self.choices) | {"parent": to_dict(self.parent)}
        return str(yaml.safe_dump(data, sort_keys=False))


def is_network_of(spec: ArchSpec, other: ArchSpec) -> bool:
    """Return whether two specs are one network, up to resolution and number of classes.

    >>> is_network_of(REFERENCES["mobilenet_v2"](), REFERENCES["mobilenet_v2"](classes=5, resolution=96))
    True
    """
    head = replace(other.head, classes=spec.head.classes)
    return replace(other, head=head, resolution=spec.resolution) == spec


def _parent(given: object, path: Path) -> ArchSpec:
    """Return the network that a file names or contains."""
    if isinstance(given, dict):
        return from_dict(given, where=f"{path}, parent")
    if isinstance(given, str) and given in REFERENCES:
        return REFERENCES[given]()
    if isinstance(given, str) and given.endswith(YAML):
        return load(path.parent / given)
    hint = did_you_mean(str(given), REFERENCES)
    raise InputError(
        f"{path}: unknown parent {given!r}: known are {', '.join(REFERENCES)}, or give a .yaml spec{hint}"
    )
