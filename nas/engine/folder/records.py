"""Typed contents of a run's JSON files, of this version or another.

A key that an earlier version did not write has the model's default; a key of another version is ignored.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any, ClassVar, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
)

from search_spaces.errors import InputError, first_problem


class Record(BaseModel):
    """Contents of a JSON file, or a part of it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    omitted: ClassVar[frozenset[str]] = frozenset()
    """Fields that have no key in the file while they are None."""

    @model_serializer(mode="wrap")
    def _written(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        items = write(self).items()
        return {key: value for key, value in items if value is not None or key not in self.omitted}

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, as in the file."""
        return self.model_dump(mode="json")


class OnnxScore(Record):
    """Held-out accuracy, 0..1, of an exported network in ONNX Runtime, and the number of images."""

    accuracy: float
    images: int


M = TypeVar("M", bound=BaseModel)


def parse_record(model: type[M], content: object, *, where: object) -> M:
    """Parse the contents of a file; unknown keys are ignored even where settings forbid them.

    Args:
        model: The type of the contents.
        content: Plain data.
        where: The file, which the error names.

    Raises:
        InputError: A key is missing, or a value is invalid.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        unknown = [e["loc"] for e in error.errors() if e["type"] == "extra_forbidden"]
        if not unknown:
            raise InputError(
                f"{where}: damaged ({first_problem(error)}): restore it from a copy, or start a new run"
            ) from error
    return parse_record(model, _without(content, unknown), where=where)


def _without(content: Any, places: list[tuple[int | str, ...]]) -> Any:
    """Return nested plain data without the keys at these places.

    >>> _without({"a": {"b": 1, "c": 2}}, [("a", "c")])
    {'a': {'b': 1}}
    """
    kept = deepcopy(content)
    for *path, key in places:
        inner = kept
        for step in path:
            inner = inner[step]
        del inner[key]
    return kept
