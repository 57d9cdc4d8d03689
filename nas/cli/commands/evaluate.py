"""`nas evaluate`: a trained network's accuracy, or what else its task is measured by."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from nas.checkpoints.class_file import read_class_file
from nas.cli.annotated_for import require_annotated_for
from nas.cli.commands.evaluating.detail_tables import drawn
from nas.cli.images import read_images, source_of
from nas.cli.options.data import ImageOptions, data_config
from nas.cli.options.groups import OptionGroup, with_groups
from nas.cli.provenance import say_run
from nas.cli.sizes import note_sizes
from nas.cli.specs import ClassFileOption, trained_file
from nas.display.output import JsonFlag, messages, print_json, results
from nas.display.progress import waiting
from nas.tasks import task_of
from search_spaces import InputError
from search_spaces.nearest import did_you_mean
from search_spaces.shell import quoted

if TYPE_CHECKING:
    from nas.data.images import Dataset
    from nas.export.evaluation.examined import Examined
    from nas.tasks.task import Evidence, Metric

SPLITS = {"train": ("train",), "val": ("val",), "test": ("test",), "all": ("train", "val", "test")}


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions(OptionGroup):
    """The images to evaluate on."""

    data: Annotated[
        str,
        typer.Option(
            help="Folder of images annotated with the network's classes, or a data set's name."
        ),
    ]
    split: Annotated[str, typer.Option(metavar="|".join(SPLITS), help="Split to evaluate.")] = (
        "test"
    )
    resolution: Annotated[
        int | None,
        typer.Option(help="Side in pixels; default: the network's deployed size."),
    ] = None
    classes: ClassFileOption = None
    report: Annotated[
        Path | None,
        typer.Option(
            help="Write a page (.html): the worst images next to their annotations, the curves, and which "
            "classes are confused."
        ),
    ] = None

    def require_page(self) -> None:
        """Check the page's name and folder before anything is read.

        Raises:
            InputError: The folder does not exist, or the name is not of an HTML file.
        """
        if self.report is None:
            return
        if self.report.suffix.lower() not in (".html", ".htm"):
            raise InputError(
                f"--report writes HTML, got {self.report}: give a name that ends with .html"
            )
        if not self.report.absolute().parent.is_dir():
            raise InputError(
                f"no folder {self.report.parent}: create it, or choose another --report"
            )


@with_groups
def evaluate(
    file: Annotated[
        str, typer.Argument(help="A seed.pt, a run's folder, or an .onnx or .tflite file.")
    ],
    on: EvaluateOptions,
    images: ImageOptions,
    as_json: JsonFlag = False,
) -> None:
    """Print a network's metric on test images with a 95% interval, and more by class.

    A classifier has its top-1 accuracy and the confusion matrix, a detector COCO's AP.
    """
    _require_split(on.split)
    on.require_page()
    path = trained_file(
        file, mend=f"train it first with nas train {quoted(file)} --data {quoted(on.data)}"
    )
    from nas.checkpoints.scoring import SplitScore  # these import torch
    from nas.export.evaluation.examination import Examination
    from nas.export.models import open_model

    names = read_class_file(on.classes) if on.classes is not None else None
    options = data_config(on.data, **images.settings())
    console = messages()
    say_run(path)
    with waiting(console, "opening the network"):
        model = open_model(path, px=on.resolution)
    require_annotated_for(model.feed.task, on.data)
    options = options.model_copy(update={"task": model.feed.task})
    px, usage = model.feed.size_px, model.feed.usage
    note_sizes(console, usage.trained_px, px, done="evaluated", measured=True)
    source = source_of(options, usage, path, console)
    data = read_images(source, px, console, batch_size=1)
    with waiting(console, "evaluating") as status:
        notes: list[str] = []
        examination = Examination.of(
            model, source, data, splits=SPLITS[on.split], classes=names, notify=notes.append
        )
        evidence = examination.evidence(lambda done: status.update(f"evaluating: {done}"))
    for note in notes:
        console.print(note, soft_wrap=True)
    _note_held_out(data, on.split, evidence, console)
    found, metric = SplitScore.of(evidence), task_of(data.task).metric
    classes = examination.data.classes
    if as_json:
        facts = {metric.name: found.accuracy, "ci95": list(found.ci95), "images": found.images}
        sizes = {"px": px, "trained_px": usage.trained_px, "split": on.split}
        print_json(facts | sizes | dict(evidence.details(classes)))
    else:
        low, high = found.ci95
        typer.echo(
            f"{100 * found.accuracy:.1f}% ({100 * low:.1f} to {100 * high:.1f}) {_said(metric)} "
            f"{found.images} images at {px} px"
        )
        for table in evidence.tables(classes):
            results().print(drawn(table))
    if on.report is not None:
        with waiting(console, "drawing the worst images"):
            seen = examination.examined(evidence)
        _write_page(on, path, seen, trained_px=usage.trained_px)
        console.print(f"{on.report}: open it in a browser", soft_wrap=True)


def _write_page(on: EvaluateOptions, path: Path, seen: Examined, *, trained_px: int) -> None:
    from nas.report.evaluation import write_evaluation  # imports torch

    assert on.report is not None
    details = [
        ("Images", f"{on.data}, {'all splits' if on.split == 'all' else on.split}"),
        ("Network", f"{path}, trained at {trained_px} px"),
    ]
    write_evaluation(on.report, seen, network=path.name, details=details)


def _said(metric: Metric) -> str:
    """Say what the percentage is of."""
    return "of" if metric.name == "accuracy" else f"{metric.full} on"


def _require_split(split: str) -> None:
    if split not in SPLITS:
        meant = {"dev": "val", "validation": "val", "valid": "val"}.get(split.lower(), split)
        hint = did_you_mean(meant, SPLITS)
        raise InputError(f"split must be one of {', '.join(SPLITS)}, got {split!r}{hint}")


def _note_held_out(data: Dataset, split: str, evidence: Evidence, console: Console) -> None:
    """Say that the split has no folder, and which images were evaluated in its place."""
    held_out = data.contents.held_out if data.contents is not None else ()
    total = sum(len(part) for part in (data.train, data.val, data.test))
    if any(part in held_out for part in SPLITS[split]) and split != "all":
        console.print(
            f"{data.name} has no {split} folder: evaluated the {len(evidence):,} of its {total:,} "
            f"images that nas train holds out as {split} (--split all takes all)",
            soft_wrap=True,
        )
