"""Images that cannot be used, reported all at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from search_spaces.errors import InputError

NAMED = 20


@dataclass(frozen=True)
class Unreadable:
    """An image that cannot be used.

    Attributes:
        name: Its path, or another name.
        reason: Why, in a few words.
    """

    name: str
    reason: str


class UnreadableError(InputError):
    """Images cannot be read; `found` has all of them, sorted by name."""

    def __init__(self, found: Sequence[Unreadable]) -> None:
        self.found = tuple(sorted(found, key=lambda one: one.name))
        super().__init__(_listed(self.found))

    def __reduce__(self) -> tuple[type[UnreadableError], tuple[tuple[Unreadable, ...]]]:
        return type(self), (self.found,)


def _listed(found: Sequence[Unreadable]) -> str:
    if len(found) == 1:
        return (
            f"cannot read image {found[0].name} ({found[0].reason}): replace or remove it, or leave it "
            "out with --skip-bad-images"
        )
    named = ", ".join(f"{one.name} ({one.reason})" for one in found[:NAMED])
    more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
    return (
        f"{len(found)} images cannot be read: replace or remove them, or leave them out with "
        f"--skip-bad-images: {named}{more}"
    )
