"""`nas data --network`: the options, and the search for images whose labels look wrong."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from nas.checkpoints.class_file import ClassFile, read_class_file
from nas.cli.commands.label_error_list import LabelErrors
from nas.cli.images import find_images
from nas.cli.options.groups import OptionGroup
from nas.cli.provenance import say_run
from nas.cli.sizes import note_sizes
from nas.cli.specs import ClassFileOption, trained_file
from nas.data.config import DataConfig
from nas.display.output import require_writable_file
from nas.display.progress import waiting
from nas.tasks import CLASSIFY
from search_spaces import InputError
from search_spaces.shell import quoted

if TYPE_CHECKING:
    from nas.checkpoints.class_map import ClassMap
    from nas.data.source import ImageSource
    from nas.export.models import Model


def require_classes(task: str) -> None:
    """Check that a network or a data set gives each image a class.

    Args:
        task: Name of its task; see `nas.tasks.task_of`.

    Raises:
        InputError: It is for another task.
    """
    if task != CLASSIFY:
        raise InputError(
            f"nas data --network looks for wrong classes of whole images, got the task {task}: leave "
            "--network out"
        )


@dataclass(frozen=True, kw_only=True)
class LabelErrorOptions(OptionGroup):
    """A network that looks for wrong labels."""

    panel = "Labels that look wrong"

    network: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|RUN",
            help="A trained network of the same classes: list the images that look like another class "
            "to it.",
        ),
    ] = None
    classes: ClassFileOption = None
    worst: Annotated[int, typer.Option(min=1, help="Number of images to show.")] = 20
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="CSV file for all of these images; the worst are drawn in a PNG file of the same name.",
        ),
    ] = None

    def judge(self, data: str, console: Console, *, picture: Path | None) -> Judge | None:
        """Open the network, if there is one, after checking the options.

        Args:
            data: The data set's name, for messages.
            console: Shows messages.
            picture: Another output of the command.

        Raises:
            InputError: The network cannot be used, the output cannot be written, or options need a network.
        """
        if self.network is None:
            for option in ("output", "classes"):
                if (value := getattr(self, option)) is not None:
                    raise InputError(
                        f"--{option} {value} needs a network: give --network FILE as well"
                    )
            return None
        mend = f"train it first with nas train {quoted(self.network)} --data {quoted(data)}"
        path = trained_file(self.network, mend=mend)
        self._require_output(path, picture)
        names = read_class_file(self.classes) if self.classes is not None else None
        from nas.export.models import open_model  # imports torch

        say_run(path)
        with waiting(console, "opening the network"):
            model = open_model(path)
        require_classes(model.feed.task)
        note_sizes(console, model.feed.usage.trained_px, model.feed.size_px, done="used")
        return Judge(path, model, names, console)

    def _require_output(self, network: Path, picture: Path | None) -> None:
        if self.output is None:
            return
        if self.output.suffix.lower() != ".csv":
            raise InputError(
                f"--output writes CSV, got {self.output}: give a name that ends with .csv"
            )
        require_writable_file(self.output, source=network, is_chosen=True)
        drawn = self.output.absolute().with_suffix(".png")
        if picture is not None and picture.absolute() == drawn:
            raise InputError(f"--picture and --output both write {picture}: choose another name")


@dataclass(frozen=True)
class Judge:
    """A network that looks for wrong labels.

    Attributes:
        file: Its file.
        model: The network.
        names: Contents of the file given by `--classes`.
        console: Shows progress and messages.
    """

    file: Path
    model: Model
    names: ClassFile | None
    console: Console

    def images(self, wanted: DataConfig) -> ImageSource:
        """Find images, split as in the network's training.

        Raises:
            InputError: They cannot be found, or a class is unknown to the network or ambiguous.
        """
        usage = self.model.feed.usage
        wanted = wanted.model_copy(update={"background": usage.background}).held_out_by(usage.rule)
        source = find_images(wanted, self.console, of=self.file)
        found = self._classes(source)
        found.indices()
        for note in found.notes:
            self.console.print(note, soft_wrap=True)
        return source

    def label_errors(self, source: ImageSource) -> LabelErrors:
        """Run the network over all images."""
        from nas.export.evaluation.suspects import find_suspects  # imports torch

        looking = f"looking for wrong labels with {self.file}"
        with waiting(self.console, looking) as status:
            suspects = find_suspects(
                self.model,
                source,
                indices=self._classes(source).indices(),
                progress=lambda done, total: status.update(f"{looking}: {done} of {total}"),
            )
        return LabelErrors(self.file, self.model.feed.size_px, source, suspects)

    def _classes(self, source: ImageSource) -> ClassMap:
        from nas.checkpoints.class_map import class_map  # imports torch

        return class_map(source.classes, self.model.feed.usage, self.names)
