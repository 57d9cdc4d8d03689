"""Report everything that is wrong with the annotations of a data set at once."""

from __future__ import annotations

from collections.abc import Sequence

from nas.data.annotations.objects import Problem
from search_spaces.errors import InputError

NAMED = 20


class AnnotationError(InputError):
    """Annotations cannot be used; `found` has all problems, sorted by place."""

    def __init__(self, where: str, found: Sequence[Problem]) -> None:
        self.where = where
        self.found = tuple(sorted(found, key=lambda one: (one.where, one.what)))
        super().__init__(_listed(where, self.found))

    def __reduce__(self) -> tuple[type[AnnotationError], tuple[str, tuple[Problem, ...]]]:
        return type(self), (self.where, self.found)


def _listed(where: str, found: Sequence[Problem]) -> str:
    lines = "; ".join(f"{one.where}: {one.what}" for one in found[:NAMED])
    if len(found) == 1:
        return f"{lines}: correct it, or remove image and annotation"
    more = f"; and {len(found) - NAMED} more" if len(found) > NAMED else ""
    return (
        f"{len(found)} problems in the annotations of {where}: correct them, or remove images and "
        f"annotations: {lines}{more}"
    )
