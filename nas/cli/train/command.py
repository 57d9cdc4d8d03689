"""`nas train`: train a network from scratch, or fine-tune a seed."""

from __future__ import annotations

from typing import Annotated

import typer

from nas.cli.options.groups import with_groups
from nas.cli.options.task import HeadOptions
from nas.cli.train.options import NetworkOptions, RecipeOptions, TrainOptions
from nas.cli.typed import options_typed
from nas.display.output import messages
from search_spaces import InputError

NetworkName = Annotated[
    str | None,
    typer.Argument(
        metavar="[SPEC]",
        help="A .yaml spec, a seed.pt, a run's folder, or a reference's name; none with --resume.",
        show_default=False,
    ),
]
WITH_RESUME = {"resume", "runs", "output", "as_json", "workers", "cpus_per_worker", "ray_address"}
"""Options that may be given beside --resume."""


@with_groups
def train(
    context: typer.Context,
    options: TrainOptions,
    recipe: RecipeOptions,
    network: NetworkOptions,
    images: HeadOptions,
    spec: NetworkName = None,
) -> None:
    """Train a network on images: fine-tune a seed, or train any other network from scratch."""
    console = messages()
    from nas.cli.train import beginning, running  # import torch

    if options.resume is not None:
        if others := sorted(options_typed(context).keys() - WITH_RESUME):
            option = "the network" if others[0] == "spec" else f"--{others[0].replace('_', '-')}"
            raise InputError(
                f"--resume takes all settings but workers and output from the run: leave {option} out"
            )
        job = beginning.resume(options.resume, console, options)
    else:
        job = beginning.begin(spec, options, recipe, network, images=images, console=console)
    running.write(job.run(console), job, console, as_json=options.as_json)
