"""What was typed."""

from __future__ import annotations

import typer


def options_typed(context: typer.Context) -> list[str]:
    """The names of the options that were given."""
    return [
        name
        for name in context.params
        if getattr(context.get_parameter_source(name), "name", "") == "COMMANDLINE"
    ]
