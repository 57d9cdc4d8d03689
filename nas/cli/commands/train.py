"""`nas train`: train a network from scratch, or fine-tune a seed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from nas.checkpoints.class_file import read_class_file
from nas.cli.commands.classifier import require_classifier
from nas.cli.data_options import ImageOptions
from nas.cli.option_groups import OptionGroup, given, with_groups
from nas.cli.specs import ClassFileOption, ScaleOptions, SpecName, of_run, open_spec, stem
from nas.display.output import JsonFlag, messages, require_writable_file


@dataclass(frozen=True, kw_only=True)
class TrainOptions(OptionGroup):
    """What to train on, where, and the file to write."""

    data: Annotated[str, typer.Option(help="A folder of class folders, or a data set's name.")]
    resolution: Annotated[
        int | None,
        typer.Option(
            help="Side in pixels for training and deployment; default: the checkpoint's or spec's, or the "
            "images' own for a reference network."
        ),
    ] = None
    device: Annotated[str, typer.Option(help="cpu, cuda, or auto.")] = "auto"
    seed: Annotated[int, typer.Option(min=0, help="Seed of all randomness.")] = 0
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="File to write; default: NAME-trained.pt next to the input."
        ),
    ] = None
    as_json: JsonFlag = False


@dataclass(frozen=True, kw_only=True)
class RecipeOptions(OptionGroup):
    """How to train; `settings` are those of `Recipe`."""

    panel = "Recipe"

    epochs: Annotated[
        float | None, typer.Option(help="Passes over the training images; 5 by default.")
    ] = None
    learning_rate: Annotated[
        float | None,
        typer.Option(help="Peak learning rate; 4e-3 from scratch, 1e-3 for a seed by default."),
    ] = None
    batch_size: Annotated[int | None, typer.Option(help="Images per step; 128 by default.")] = None
    recipe: Annotated[
        Path | None,
        typer.Option(help="YAML file with recipe settings (docs/reference/settings.md)."),
    ] = None

    def settings(self) -> dict[str, float]:
        """Return the settings that override the file's."""
        return given(
            epochs=self.epochs, learning_rate=self.learning_rate, batch_size=self.batch_size
        )


@dataclass(frozen=True, kw_only=True)
class StartOptions(OptionGroup):
    """Which weights of a seed to keep."""

    panel = "Weights and classes of a seed"

    new_classifier: Annotated[
        bool,
        typer.Option(
            "--new-classifier", help="Replace the last layer by a new one for the data's classes."
        ),
    ] = False
    classes: ClassFileOption = None
    from_scratch: Annotated[
        bool, typer.Option("--from-scratch", help="Initialize all weights, even for a seed.")
    ] = False


@with_groups
def train(
    spec: SpecName,
    options: TrainOptions,
    recipe: RecipeOptions,
    start: StartOptions,
    images: ImageOptions,
    scale: ScaleOptions,
) -> None:
    """Train a network on images: fine-tune a seed, or train any other network from scratch."""
    trained = spec if spec.endswith(".pt") else of_run(spec, ".pt")
    seed = None if start.from_scratch or trained is None else str(trained)
    require_classifier(
        spec,
        seed,
        from_scratch=start.from_scratch,
        new_classifier=start.new_classifier,
        classes=start.classes,
    )
    names = read_class_file(start.classes) if start.classes is not None else None
    network = open_spec(spec, scale.changes())
    from nas.cli.commands import training  # imports torch

    chosen = training.read_recipe(recipe.recipe, recipe.settings(), inherits=seed is not None)
    path = options.output or Path(spec).with_name(f"{stem(spec)}-trained.pt")
    require_writable_file(path, source=spec, is_chosen=options.output is not None)
    console, device = messages(), training.usable_device(options.device)
    job = training.Training(
        spec, network, training.open_start(seed), chosen, device=device, seed=options.seed
    )
    data = job.read(options.data, images.settings(), console, px=options.resolution)
    job, data = job.matched(data, names, console, new_classifier=start.new_classifier)
    job.announce(data, console)
    done = job.run(data, console)
    training.write(done, data, path, console, as_json=options.as_json)
