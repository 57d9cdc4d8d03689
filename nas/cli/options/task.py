"""Options of the commands that read boxes or masks, and give a network a head for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import typer

from nas.cli.options.data import ImageOptions
from nas.tasks import TASKS
from search_spaces import InputError
from search_spaces.nearest import did_you_mean


@dataclass(frozen=True, kw_only=True)
class TaskOptions(ImageOptions):
    """How images are read, and what is learned of them."""

    panel = "Images, boxes and masks"

    task: Annotated[
        str | None,
        typer.Option(
            metavar="|".join(TASKS),
            help="What is learned of the images; default: what they are annotated for, boxes before masks.",
        ),
    ] = None

    def settings(self) -> dict[str, Any]:
        """Return the settings of `DataConfig`.

        Raises:
            InputError: There is no such task.
        """
        if self.task is not None and self.task not in TASKS:
            raise InputError(
                f"--task {self.task}: no such task: choose from {', '.join(TASKS)}"
                f"{did_you_mean(self.task, TASKS)}"
            )
        return super().settings()


@dataclass(frozen=True, kw_only=True)
class HeadOptions(TaskOptions):
    """How images are read, what is learned of them, and the network's head for it."""

    head: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Head of a detector or a segmentation network: ssdlite, lraspp or raspp, with options as "
            "in ssdlite-half or lraspp-f64-os32; default: ssdlite for boxes, lraspp for masks.",
        ),
    ] = None

    def settings(self) -> dict[str, Any]:
        """Return the settings of `DataConfig`; see `TaskOptions.settings`."""
        own = super().settings()
        own.pop("head", None)  # the network's, not the images'
        return own
