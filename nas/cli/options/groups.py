"""Group the options of a command in dataclasses, which Typer does not support."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import MISSING, dataclass, fields
from typing import Annotated, Any, ClassVar, get_args, get_type_hints


@dataclass(frozen=True, kw_only=True)
class OptionGroup:
    """Base class of a group of options; each field is declared like a parameter of a Typer command.

    A subclass that declares a field again changes its help, and keeps its place.
    """

    panel: ClassVar[str | None] = None
    """Title of the group's panel in `--help`; None is Typer's own, which comes first."""

    def settings(self) -> dict[str, Any]:
        """Return the options that have a value, as settings of the same names."""
        return given(**{field.name: getattr(self, field.name) for field in fields(self)})


def given(**options: Any) -> dict[str, Any]:
    """Keep the options that have a value: not None, False or empty.

    >>> given(layout=None, skip_bad_images=False, warm_start=[], workers=0)
    {'workers': 0}
    """
    return {
        name: value
        for name, value in options.items()
        if value is not False and value not in (None, {}, [])
    }


def with_groups(command: Callable[..., None]) -> Callable[..., None]:
    """Give Typer one parameter per option, and `command` its groups built from them."""
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, type[OptionGroup]] = {}
    flat: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(command).parameters.items():
        if isinstance(hints[name], type) and issubclass(hints[name], OptionGroup):
            groups[name] = hints[name]
            flat += _parameters(hints[name])
        else:
            flat.append(_parameter(name, hints[name], parameter.default))

    @functools.wraps(command)
    def flattened(**options: Any) -> None:
        for name, group in groups.items():
            own = {field.name: options.pop(field.name) for field in fields(group)}
            options[name] = group(**own)
        command(**options)

    # Typer reads both.
    flattened.__signature__ = inspect.Signature(flat)  # type: ignore[attr-defined]
    flattened.__annotations__ = {parameter.name: parameter.annotation for parameter in flat}
    return flattened


def _parameters(group: type[OptionGroup]) -> Iterator[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    for field in fields(group):
        kind, option = get_args(hints[field.name])
        option = copy(option)  # other groups may share it
        option.rich_help_panel = group.panel
        default = inspect.Parameter.empty if field.default is MISSING else field.default
        yield _parameter(field.name, Annotated[kind, option], default)


def _parameter(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    kind = inspect.Parameter.KEYWORD_ONLY  # so that required options may follow others
    return inspect.Parameter(name, kind, annotation=annotation, default=default)
