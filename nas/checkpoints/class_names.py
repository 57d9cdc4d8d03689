"""Match the class folders of a data set to a network's classes by name."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from search_spaces import InputError

NAMED = 10
"""Number of names that a message lists before it counts the rest."""

SHOWN_PAIRS = 3

Notify = Callable[[str], None]
"""Is notified of inexact matches."""


@dataclass(frozen=True)
class Matches:
    """Folders and the classes that they match.

    Attributes:
        indices: Index of the network's class for each matched folder.
        looser: Folders whose spelling differs from the class's.
        unknown: Folders without a class.
        ambiguous: Folders that match several classes, and why.
    """

    indices: Mapping[str, int]
    looser: tuple[str, ...]
    unknown: tuple[str, ...]
    ambiguous: Mapping[str, str]


def placeholder_classes(count: int) -> tuple[str, ...]:
    """Return placeholder names for classes without names.

    >>> placeholder_classes(3)
    ('0', '1', '2')
    """
    return tuple(map(str, range(count)))


def matched(
    folders: Sequence[str], known: Sequence[str], *, given: Mapping[str, int] | None = None
) -> Matches:
    """Match folders to a network's classes: exact names first, then looser spelling.

    Names are compared as they are, then in Unicode's composed form (NFC), then without regard to case,
    spaces, hyphens and underscores. Each step considers only what the previous ones left, and matches only
    names that are unique on both sides. A minus sign is never ignored: -90 is not 90.

    >>> found = matched(["A", "b-c"], ["A", "a", "B C"])
    >>> dict(found.indices), found.looser
    ({'A': 0, 'b-c': 2}, ('b-c',))

    Args:
        folders: Unique names of the data's classes.
        known: Names of the network's classes, in the order of its outputs.
        given: Indices of classes that a file assigns to folders. Other folders may share them.
    """
    present = set(folders)
    indices = {name: index for name, index in (given or {}).items() if name in present}
    taken: set[int] = set()
    ambiguous: dict[str, str] = {}
    looser: list[str] = []
    for spelled in (str, composed, _plain):  # from exact to loose
        left = [name for name in folders if name not in indices and name not in ambiguous]
        ours, theirs = _by_spelling(left, spelled), defaultdict(list)
        for index, name in enumerate(known):
            if index not in taken:
                theirs[spelled(name)].append(index)
        for spelling, names in ours.items():
            found = theirs.get(spelling, [])
            if len(names) == len(found) == 1:
                indices[names[0]] = found[0]
                taken.add(found[0])
                looser += names if spelled is _plain else []
            elif found:
                ambiguous |= {name: _why(name, names, found, known) for name in names}
    unknown = tuple(name for name in folders if name not in indices and name not in ambiguous)
    return Matches(indices, tuple(looser), unknown, ambiguous)


def require_matched(found: Matches, known: Sequence[str]) -> None:
    """Check that every folder has a class.

    Raises:
        InputError: Some folders are ambiguous or unknown; the message lists them.
    """
    problems = []
    if found.ambiguous:
        problems.append(
            "classes that their names do not distinguish: " + listed(found.ambiguous.values(), "; ")
        )
    if found.unknown:
        names = [repr(name) for name in found.unknown]
        for index, name in enumerate(found.unknown[:SHOWN_PAIRS]):
            names[index] += _near(name, known)
        problems.append(f"the network does not know the data's classes {listed(names)}")
    if problems:
        first = listed(map(repr, known), count=SHOWN_PAIRS, total=False)
        raise InputError(
            f"{'; '.join(problems)}: name the folders like its classes (the first are {first}), or give "
            '--classes FILE with a line such as "FOLDER: CLASS" for each of these'
        )


def notes(found: Matches, known: Sequence[str]) -> list[str]:
    """Return notes about a match: names matched by looser spelling."""
    if not found.looser:
        return []
    pairs = [f"{name!r} = {known[found.indices[name]]!r}" for name in found.looser]
    count = "1 class" if len(pairs) == 1 else f"{len(pairs)} classes"
    return [f"matched {count} by looser spelling: {listed(pairs)}"]


def in_order(folders: Sequence[str]) -> str:
    """Return the note that classes without names were matched in the order of the folders."""
    first = ", ".join(f"{index} = {name!r}" for index, name in enumerate(folders[:SHOWN_PAIRS]))
    more = ", ..." if len(folders) > SHOWN_PAIRS else ""
    return (
        "the network's classes have no names, so they are matched to the folders in order "
        f"({first}{more}): if that is wrong, name them with --classes FILE of nas import, train or evaluate"
    )


def listed(
    names: Iterable[str], between: str = ", ", *, count: int = NAMED, total: bool = True
) -> str:
    """Join the first few names, and count the others.

    >>> listed("abcd", count=2), listed("ab", count=2)
    ('a, b and 2 more', 'a, b')
    """
    names = list(names)
    more = f" and {len(names) - count} more" if len(names) > count and total else ""
    return between.join(names[:count]) + more


def _by_spelling(names: Iterable[str], spelled: Callable[[str], str]) -> dict[str, list[str]]:
    groups = defaultdict(list)
    for name in names:
        groups[spelled(name)].append(name)
    return groups


def _why(name: str, names: Sequence[str], indices: Sequence[int], known: Sequence[str]) -> str:
    """Say why a folder has no class although a similar name exists."""
    if len(indices) > 1:
        choices = [f"{known[index]!r} ({index})" for index in indices]
        return f"{name!r} could be {listed(choices, ' or ')}"
    others = [other for other in names if other != name]
    return f"{name!r} and {listed(map(repr, others))} are both similar to {known[indices[0]]!r}"


def _near(name: str, known: Sequence[str]) -> str:
    plain = {_plain(other): other for other in known}
    near = difflib.get_close_matches(_plain(name), plain, n=1, cutoff=0.75)
    return f" (did you mean {plain[near[0]]!r}?)" if near else ""


def composed(name: str) -> str:
    """Return a name in Unicode's composed form (NFC)."""
    return unicodedata.normalize("NFC", name)


def _plain(name: str) -> str:
    """Normalize case and separators of a name.

    Separators count only between letters or digits, so that a sign is kept: A- is not A.

    >>> _plain("Granny_Smith") == _plain("granny smith"), _plain("-90") == _plain("90")
    (True, False)
    >>> _plain("x_-5") == _plain("x_5")
    False
    """
    folded = composed(composed(name).casefold()).strip()
    return re.sub(r"(?<=[^\W_])([\s_-]+)(?=[^\W_])", _separated, folded)


def _separated(run: re.Match[str]) -> str:
    """Return a space, and the minus sign of a number: of x_-5, not of x-5 or x-y."""
    following = run.string[run.end()]
    signed = len(run[0]) > 1 and run[0].endswith("-") and following.isdigit()
    return " -" if signed else " "
