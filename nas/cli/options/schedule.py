"""Options of the commands that train many networks at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from nas.cli.options.groups import OptionGroup


@dataclass(frozen=True, kw_only=True)
class ScheduleOptions(OptionGroup):
    """Where trials train; `settings` are those of `ScheduleConfig`."""

    panel = "Workers"

    workers: Annotated[
        int | None,
        typer.Option(
            help="Trials at once; default: as many as the machine has room for. 0 trains in this process, "
            "without Ray."
        ),
    ] = None
    cpus_per_trial: Annotated[int | None, typer.Option(help="CPU cores per trial.")] = None
    gpus_per_trial: Annotated[
        float | None, typer.Option(help="GPUs per trial; may be a fraction.")
    ] = None
    ray_address: Annotated[str | None, typer.Option(help="Address of a running Ray cluster.")] = (
        None
    )
