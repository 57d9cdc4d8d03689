"""Tell given options from defaults."""

from __future__ import annotations

import typer


def options_typed(context: typer.Context) -> list[str]:
    """Return the names of the options given on the command line."""
    return [
        name
        for name in context.params
        if getattr(context.get_parameter_source(name), "name", "") == "COMMANDLINE"
    ]
