"""`nas train`: train a network from scratch, or fine-tune a seed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from nas.atomic_files import write_whole
from nas.checkpoints.class_file import read_class_file
from nas.cli.commands.classifier import require_classifier
from nas.cli.data_options import (
    LayoutOption,
    MegapixelsOption,
    SkipFlag,
    data_config,
    data_settings,
)
from nas.cli.images import open_images
from nas.cli.specs import (
    Changes,
    ClassFileOption,
    ConventionOption,
    SpecName,
    WidthOption,
    of_run,
    open_spec,
    stem,
)
from nas.display.output import JsonFlag, command, messages, not_over, print_json
from nas.formatting import counted
from nas.training.recipe import Recipe
from search_spaces import REFERENCES, InputError
from search_spaces.errors import first_problem
from search_spaces.shell import quoted
from search_spaces.spec import read_yaml

if TYPE_CHECKING:
    from nas.checkpoints.checkpoint import Checkpoint
    from nas.checkpoints.retrain import Retrained
    from nas.data.images import Dataset
    from nas.training.train import Progress as TrainProgress


def train(
    spec: SpecName,
    data: Annotated[str, typer.Option(help="A folder of class folders, or a data set's name.")],
    resolution: Annotated[
        int | None,
        typer.Option(
            help="Side in pixels for training and deployment; default: the checkpoint's or spec's, or the "
            "images' own for a reference network."
        ),
    ] = None,
    layout: LayoutOption = None,
    max_megapixels: MegapixelsOption = None,
    skip_bad_images: SkipFlag = False,
    width: WidthOption = None,
    convention: ConventionOption = None,
    epochs: Annotated[
        float | None, typer.Option(help="Passes over the training images; 5 by default.")
    ] = None,
    learning_rate: Annotated[
        float | None,
        typer.Option(help="Peak learning rate; 4e-3 from scratch, 1e-3 for a seed by default."),
    ] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images per step; 128 by default.")] = None,
    recipe: Annotated[
        Path | None,
        typer.Option(help="YAML file with recipe settings (docs/reference/settings.md)."),
    ] = None,
    new_classifier: Annotated[
        bool,
        typer.Option(
            "--new-classifier", help="Replace the last layer by a new one for the data's classes."
        ),
    ] = False,
    classes: ClassFileOption = None,
    from_scratch: Annotated[
        bool, typer.Option("--from-scratch", help="Initialize all weights, even for a seed.")
    ] = False,
    device: Annotated[str, typer.Option(help="cpu, cuda, or auto.")] = "auto",
    seed: Annotated[int, typer.Option(min=0, help="Seed of all randomness.")] = 0,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="File to write; default: NAME-trained.pt next to the input."
        ),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Train a network on images: fine-tune a seed, or train any other network from scratch."""
    trained = (
        spec if spec.endswith(".pt") else of_run(spec, ".pt")
    )  # a run's folder holds its network
    start = None if from_scratch or trained is None else str(trained)
    require_classifier(
        spec, start, from_scratch=from_scratch, new_classifier=new_classifier, classes=classes
    )
    names = read_class_file(classes) if classes is not None else None
    network_spec = open_spec(spec, Changes(None, None, width, convention))
    given = {"epochs": epochs, "learning_rate": learning_rate, "batch_size": batch_size}
    chosen = _recipe(
        recipe, {k: v for k, v in given.items() if v is not None}, inherits=start is not None
    )
    path = _output(spec, output)
    console = messages()
    options = data_settings(
        layout=layout, max_megapixels=max_megapixels, skip_bad_images=skip_bad_images
    )
    from nas.checkpoints.checkpoint import load_checkpoint
    from nas.checkpoints.retrain import fine_tune, for_classes, train_from_scratch
    from nas.training.train import Diverged

    where = _device(device)
    seeded = load_checkpoint(start) if start else None
    known_px = None if spec.partition("@")[0] in REFERENCES else network_spec.resolution
    if seeded is not None:
        options["background"] = seeded.usage.background
    px = known_px if resolution is None else resolution
    wanted = data_config(data, proxy_resolution=px, **options)
    if seeded is not None:
        wanted = wanted.held_out_by(seeded.usage.rule)
    images = open_images(
        wanted, console, batch_size=chosen.batch_size, of=Path(start) if start else None
    )
    if seeded is not None:
        seeded, images = for_classes(
            _renewed(seeded, images, seed=seed) if new_classifier else seeded,
            images,
            classes=names,
            notify=lambda note: console.print(note, soft_wrap=True),
        )
    if known_px not in (None, images.resolution_px):
        console.print(
            f"{spec}: deployed size changes from {known_px} to {images.resolution_px} px, so its latency "
            "changes too",
            soft_wrap=True,
        )
    console.print(
        f"{spec}: {'fine-tuning' if seeded else 'training from scratch'} on "
        f"{counted(len(images.train), 'image')} of {len(images.classes)} classes at "
        f"{images.resolution_px} px, {counted(chosen.total_steps(len(images.train)), 'step')} with batch "
        f"size {chosen.batch_size}, on {where}",
        soft_wrap=True,
    )
    with _bar(console) as bar:
        task = bar.add_task("training", total=None, note="")

        def tell(at: TrainProgress) -> None:
            note = f"loss {at.train_loss:.3f}"
            bar.update(task, completed=at.step, total=at.total_steps, note=note)

        try:
            if seeded is not None:
                done = fine_tune(seeded, images, chosen, seed=seed, device=where, on_progress=tell)
            else:
                done = train_from_scratch(
                    network_spec, images, chosen, seed=seed, device=where, on_progress=tell
                )
        except Diverged as error:
            raise InputError(f"{spec}: {error}") from error
    _finish(done, path, images, console, as_json=as_json)


def _recipe(path: Path | None, given: dict[str, Any], *, inherits: bool) -> Recipe:
    from nas.checkpoints.retrain import FINE_TUNING_RATE

    settings: object = read_yaml(path) if path else {}
    if not isinstance(settings, dict):
        raise InputError(f"{path}: expected keys and values, got {type(settings).__name__}")
    defaults = {"learning_rate": FINE_TUNING_RATE} if inherits else {}
    if "epochs" in given:
        settings.pop("steps", None)
    try:
        return Recipe.model_validate(defaults | settings | given)
    except ValidationError as error:
        raise InputError(f"{path or 'recipe'}: {first_problem(error)}") from error


def _output(spec: str, output: Path | None) -> Path:
    path = output or Path(spec).with_name(f"{stem(spec)}-trained.pt")
    not_over(path, spec)
    if output is None and path.exists():
        raise InputError(f"{path} exists: move it away, or choose another --output")
    if not path.parent.is_dir():
        raise InputError(f"no folder {path.parent}: create it, or choose another --output")
    return path


def _renewed(start: Checkpoint, images: Dataset, *, seed: int) -> Checkpoint:
    """Replace the classifier by a newly initialized one for the images' classes."""
    import torch

    return start.with_classes(images.classes, generator=torch.Generator().manual_seed(seed))


def _device(name: str) -> str:
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        other = torch.accelerator.current_accelerator(check_available=True)
        known = ["cpu", *([other.type] if other else [])]
        raise InputError(
            f"device {name!r} is not available: this machine has {' and '.join(known)}"
        ) from error
    return name


def _bar(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=console,
    )


def _finish(
    done: Retrained, path: Path, images: Dataset, console: Console, *, as_json: bool
) -> None:
    from nas.checkpoints.checkpoint import checkpoint_bytes
    from nas.checkpoints.scoring import wilson

    write_whole(path, checkpoint_bytes(done.checkpoint))
    low, high = wilson(done.test.accuracy, len(images.test))
    if as_json:
        print_json(
            {
                "path": str(path),
                "px": images.resolution_px,
                "val_accuracy": done.result.accuracy,
                "test_accuracy": done.test.accuracy,
                "test_ci95": [low, high],
                "train_s": done.result.train_s,
            }
        )
        return
    console.print(
        f"{path}: {100 * done.result.accuracy:.1f}% on {len(images.val)} held-out images, "
        f"{100 * done.test.accuracy:.1f}% ({100 * low:.1f} to {100 * high:.1f}) on {len(images.test)} "
        f"test images, all at {images.resolution_px} px\nnext: {command(f'export {quoted(path)}')}",
        soft_wrap=True,
    )
