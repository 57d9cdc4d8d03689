"""Tell given options from defaults."""

from __future__ import annotations

from typing import Any

import typer


def options_typed(context: typer.Context) -> dict[str, Any]:
    """Return the options given on the command line, in the order typed, with their values."""
    return {
        name: value
        for name, value in context.params.items()
        if getattr(context.get_parameter_source(name), "name", "") == "COMMANDLINE"
    }
