"""Options shared by the commands that create or resume a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from nas.cli.options.groups import OptionGroup
from nas.display.output import JsonFlag
from search_spaces import InputError


@dataclass(frozen=True, kw_only=True)
class FolderOptions(OptionGroup):
    """The run's folder, and what to do with it."""

    panel = "Run"

    run_name: Annotated[str | None, typer.Option(help="Name of the run's folder.")] = None
    runs: Annotated[Path, typer.Option(help="Folder of the run folders.")] = Path("runs")
    resume: Annotated[
        Path | None, typer.Option(help="Resume the interrupted run in this folder.")
    ] = None
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the plan and its cost, then exit.")
    ] = False
    as_json: JsonFlag = False


@dataclass(frozen=True, kw_only=True)
class RunOptions(FolderOptions):
    """The folder of a run whose images may change."""

    accept_data_changes: Annotated[
        bool,
        typer.Option(
            "--accept-data-changes",
            help="With --resume: continue although images were added, removed or changed; the run records "
            "it.",
        ),
    ] = False

    def require_resumed(self) -> None:
        """Refuse options that apply to a resumed run only.

        Raises:
            InputError: The run is a new one.
        """
        if self.accept_data_changes and self.resume is None:
            raise InputError("--accept-data-changes applies to a resumed run: add --resume RUN")
