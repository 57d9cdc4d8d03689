"""The exception for invalid user input."""

from __future__ import annotations

from pydantic import ValidationError

HEAD_KINDS = ("classifier", "ssdlite", "lraspp", "raspp")


class InputError(ValueError):
    """Invalid user input: one line with the value, the reason and the fix.

    Commands print the line and exit with status 2; any other exception is a bug and keeps its traceback.

    >>> raise InputError("target_ms must be above 0, got -3: give the budget in milliseconds")
    Traceback (most recent call last):
        ...
    search_spaces.errors.InputError: target_ms must be above 0, got -3: give the budget in milliseconds
    """


def first_problem(error: ValidationError) -> str:
    """Summarize a failed validation in one line: where, what is wrong, the value.

    Unknown and missing keys come first: a misspelt key usually causes the other errors.
    """
    order = {"extra_forbidden": 0, "unexpected_keyword_argument": 0, "missing": 1}
    found = min(error.errors(include_url=False), key=lambda e: order.get(e["type"], 2))
    where = ".".join(str(part) for part in _without_tag(found["loc"]))
    if found["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        return f"unknown key '{where}': remove it or correct its spelling"
    if found["type"] in ("missing", "missing_argument"):
        return f"missing key '{where}': add it"
    if found["type"] in ("model_type", "model_attributes_type", "dataclass_type", "dict_type"):
        return f"{where}: expected keys and values, got {found['input']!r}"
    reason = found["msg"].removeprefix("Value error, ")
    reason = (reason[:1].lower() + reason[1:]).replace("input should", "must")
    value = "" if isinstance(found["input"], dict | list) else f", got {found['input']!r}"
    return (f"{where}: " if where else "") + reason + (value if "got" not in reason else "")


def _without_tag(place: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """Leave out the kind of head that pydantic names behind a network's head.

    >>> _without_tag(("head", "classifier", "dropout"))
    ('head', 'dropout')
    """
    tagged = len(place) > 1 and place[0] == "head" and place[1] in HEAD_KINDS
    return (place[0], *place[2:]) if tagged else place
