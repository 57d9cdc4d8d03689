"""What `nas train` does once its options are checked."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from nas.atomic_files import write_whole
from nas.checkpoints.checkpoint import Checkpoint, checkpoint_bytes, load_checkpoint
from nas.checkpoints.class_file import ClassFile
from nas.checkpoints.retrain import (
    FINE_TUNING_RATE,
    Retrained,
    fine_tune,
    for_classes,
    train_from_scratch,
)
from nas.checkpoints.scoring import wilson
from nas.cli.data_options import data_config
from nas.cli.images import open_images
from nas.data.images import Dataset
from nas.display.output import command, print_json
from nas.formatting import counted
from nas.training.recipe import Recipe
from nas.training.train import Diverged
from nas.training.train import Progress as TrainProgress
from search_spaces import REFERENCES, ArchSpec, InputError
from search_spaces.errors import first_problem
from search_spaces.shell import quoted
from search_spaces.spec import read_yaml


class Start(NamedTuple):
    """A checkpoint to fine-tune, and its file."""

    checkpoint: Checkpoint
    path: Path


def open_start(path: str | None) -> Start | None:
    """Load the checkpoint to fine-tune, if any.

    Raises:
        InputError: See `load_checkpoint`.
    """
    return None if path is None else Start(load_checkpoint(path), Path(path))


@dataclass(frozen=True)
class Training:
    """The training of a network.

    Attributes:
        name: The network's name, as typed.
        spec: The network.
        start: What to fine-tune; None trains from scratch.
        recipe: How to train.
        device: Name of a torch device.
        seed: Random seed.
    """

    name: str
    spec: ArchSpec
    start: Start | None
    recipe: Recipe
    device: str
    seed: int

    @property
    def known_px(self) -> int | None:
        """The deployed size; None for a reference network, which has no size of its own."""
        return None if self.name.partition("@")[0] in REFERENCES else self.spec.resolution

    def read(
        self, source: str, settings: dict[str, Any], console: Console, *, px: int | None
    ) -> Dataset:
        """Read the images, preprocessed and split as in the checkpoint's training.

        Args:
            source: The value of `--data`.
            settings: Other settings of `DataConfig`.
            console: Shows progress.
            px: Side of the images; None is the network's or the images' own.

        Raises:
            InputError: See `open_images`; or a setting is invalid.
        """
        if self.start is not None:
            settings = settings | {"background": self.start.checkpoint.usage.background}
        wanted = data_config(
            source, proxy_resolution=self.known_px if px is None else px, **settings
        )
        if self.start is not None:
            wanted = wanted.held_out_by(self.start.checkpoint.usage.rule)
        of = None if self.start is None else self.start.path
        return open_images(wanted, console, batch_size=self.recipe.batch_size, of=of)

    def matched(
        self, data: Dataset, names: ClassFile | None, console: Console, *, new_classifier: bool
    ) -> tuple[Training, Dataset]:
        """Match the classes of the checkpoint, if any, and the images.

        Args:
            data: The images.
            names: Contents of the file given by `--classes`.
            console: Is told of inexact matches.
            new_classifier: Whether to replace the classifier by a new one for the images' classes.

        Raises:
            InputError: The images have other classes.
        """
        if self.start is None:
            return self, data
        checkpoint = self.start.checkpoint
        if new_classifier:
            generator = torch.Generator().manual_seed(self.seed)
            checkpoint = checkpoint.with_classes(data.classes, generator=generator)
        checkpoint, data = for_classes(
            checkpoint,
            data,
            classes=names,
            notify=lambda note: console.print(note, soft_wrap=True),
        )
        return replace(self, start=self.start._replace(checkpoint=checkpoint)), data

    def announce(self, data: Dataset, console: Console) -> None:
        """Print what will be trained, on what, and for how long."""
        px, images = data.resolution_px, len(data.train)
        if self.known_px not in (None, px):
            console.print(
                f"{self.name}: deployed size changes from {self.known_px} to {px} px, so its latency "
                "changes too",
                soft_wrap=True,
            )
        console.print(
            f"{self.name}: {'fine-tuning' if self.start else 'training from scratch'} on "
            f"{counted(images, 'image')} of {len(data.classes)} classes at {px} px, "
            f"{counted(self.recipe.total_steps(images), 'step')} with batch size "
            f"{self.recipe.batch_size}, on {self.device}",
            soft_wrap=True,
        )

    def run(self, data: Dataset, console: Console) -> Retrained:
        """Train, with a progress bar.

        Raises:
            InputError: The loss became NaN or infinite.
        """
        with _bar(console) as bar:
            task = bar.add_task("training", total=None, note="")

            def tell(at: TrainProgress) -> None:
                note = f"loss {at.train_loss:.3f}"
                bar.update(task, completed=at.step, total=at.total_steps, note=note)

            options: dict[str, Any] = {
                "seed": self.seed,
                "device": self.device,
                "on_progress": tell,
            }
            try:
                if self.start is not None:
                    return fine_tune(self.start.checkpoint, data, self.recipe, **options)
                return train_from_scratch(self.spec, data, self.recipe, **options)
            except Diverged as error:
                raise InputError(f"{self.name}: {error}") from error


def read_recipe(path: Path | None, given: dict[str, Any], *, inherits: bool) -> Recipe:
    """Build a recipe from a file and options, which take precedence.

    Args:
        path: A YAML file.
        given: Settings from options.
        inherits: Whether a seed is fine-tuned, for which the learning rate is lower by default.

    Raises:
        InputError: The file cannot be read, or a setting is invalid.
    """
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


def usable_device(name: str) -> str:
    """Return the torch device to train on.

    Raises:
        InputError: This machine has none of that name.
    """
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


def write(done: Retrained, data: Dataset, path: Path, console: Console, *, as_json: bool) -> None:
    """Write the trained network, and print its accuracy and the next command."""
    write_whole(path, checkpoint_bytes(done.checkpoint))
    low, high = wilson(done.test.accuracy, len(data.test))
    if as_json:
        print_json(
            {
                "path": str(path),
                "px": data.resolution_px,
                "val_accuracy": done.result.accuracy,
                "test_accuracy": done.test.accuracy,
                "test_ci95": [low, high],
                "train_s": done.result.train_s,
            }
        )
        return
    console.print(
        f"{path}: {100 * done.result.accuracy:.1f}% on {len(data.val)} held-out images, "
        f"{100 * done.test.accuracy:.1f}% ({100 * low:.1f} to {100 * high:.1f}) on {len(data.test)} "
        f"test images, all at {data.resolution_px} px\nnext: {command(f'export {quoted(path)}')}",
        soft_wrap=True,
    )


def _bar(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=console,
    )
