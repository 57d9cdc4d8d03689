"""Where commands write: results to standard output, everything else to standard error."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import typer
from rich.console import Console

JsonFlag = Annotated[
    bool, typer.Option("--json", help="Print one JSON document to standard output.")
]


def messages() -> Console:
    """Progress and messages."""
    return Console(stderr=True, highlight=False)


def results() -> Console:
    """Tables that the command was asked for: whole, also where the terminal is narrower."""
    return Console(highlight=False, width=max(Console().width, 112))


def print_json(document: Any) -> None:
    """One JSON document."""
    sys.stdout.write(json.dumps(document, indent=2) + "\n")
