"""Check that one network is a narrowing of another."""

from __future__ import annotations

from typing import Any

from search_spaces.channels import channel_counts
from search_spaces.errors import InputError
from search_spaces.spec import ArchSpec, to_dict


def check_narrowing(parent: ArchSpec, child: ArchSpec) -> None:
    """Check that the networks differ in widths only, and that no width of the child is larger.

    Squeeze-and-excite is exempt: it follows a rule, which a caller may change.

    Raises:
        InputError: They differ otherwise; the message names the first difference.
    """
    if _shape(child) != _shape(parent):
        raise InputError(
            f"{_first_difference(parent, child)} is not the parent's: only its widths may differ"
        )
    sizes = channel_counts(parent)
    for space, size in channel_counts(child).items():
        if size > sizes[space] and not space.endswith("squeeze"):
            raise InputError(
                f"{space}: {size} channels, the parent has {sizes[space]}: "
                "only narrower networks inherit weights"
            )


_WIDTHS = ("out", "expand", "se", "conv", "hidden", "filters", "inner")


def _shape(spec: ArchSpec) -> dict[str, Any]:
    """Return the network by part, each width replaced by whether it is above 0."""
    data = to_dict(spec)
    blocks = {f"block {index}": block for index, block in enumerate(data.pop("blocks"))}
    return {part: _without_widths(value) for part, value in (data | blocks).items()}


def _without_widths(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_without_widths(one) for one in value]
    if isinstance(value, dict):
        return {k: v > 0 if k in _WIDTHS else _without_widths(v) for k, v in value.items()}
    return value


def _first_difference(parent: ArchSpec, child: ArchSpec) -> str:
    ours, theirs = _shape(parent), _shape(child)
    return next(part for part in ours | theirs if ours.get(part) != theirs.get(part))
