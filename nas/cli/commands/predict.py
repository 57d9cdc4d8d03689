"""`nas predict`: classify images, or find boxes or masks in them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from nas.cli.commands.predict_dense import DenseOptions, predict_dense
from nas.cli.errors import Failed
from nas.cli.options.groups import with_groups
from nas.cli.provenance import say_run
from nas.cli.sizes import note_sizes
from nas.cli.specs import trained_file
from nas.display.output import JsonFlag, messages
from nas.display.progress import waiting
from nas.formatting import counted, one_line, percent
from nas.tasks import CLASSIFY
from search_spaces.shell import quoted

if TYPE_CHECKING:
    from nas.export.predict import Predicted

WIDEST = 60
"""Maximum column width in characters."""


@with_groups
def predict(
    file: Annotated[
        str, typer.Argument(help="A seed.pt, a run's folder, or an .onnx or .tflite file.")
    ],
    images: Annotated[
        list[Path], typer.Argument(metavar="IMAGE|DIR...", help="Images, or folders of them.")
    ],
    dense: DenseOptions,
    top: Annotated[int, typer.Option(min=1, help="Number of classes per image.")] = 3,
    as_json: JsonFlag = False,
) -> None:
    """Print what a network sees in images: the most likely classes, boxes, or the classes of pixels.

    With --json, boxes and masks are in COCO's result format.

    Unreadable images are reported on standard error, the others are classified, and the exit status is 1.
    """
    dense.require_effect(as_json=as_json)
    path = trained_file(file, mend=f"train it first with nas train {quoted(file)} --data DIR")
    from nas.export.models import open_model  # these import torch
    from nas.export.predict import find_pictures, predictions

    pictures = find_pictures(images)
    console = messages()
    with waiting(console, "opening the network"):
        model = open_model(path)
    say_run(path)
    feed = model.feed
    note_sizes(console, feed.usage.trained_px, feed.size_px, done="used")
    if pictures.left_out:
        left_out = counted(pictures.left_out, "file")
        console.print(f"skipped {left_out} without an image suffix", soft_wrap=True)
    dense.require_task(feed.task)
    if feed.task != CLASSIFY:
        predict_dense(model, pictures.paths, console, options=dense, as_json=as_json)
        return
    count = min(top, len(feed.classes))
    predicted_all = _progress(
        predictions(model, pictures.paths, top=count), len(pictures.paths), console
    )
    shown = (_in_json if as_json else _in_lines)(predicted_all, pictures.paths, feed.classes)
    failed = 0
    for predicted in shown:
        if predicted.error:
            failed += 1
            console.print(one_line(f"{predicted.path}: {predicted.error}"), soft_wrap=True)
    if failed:
        raise Failed(f"{failed} of {counted(len(pictures.paths), 'image')} could not be read")


def _progress(predicted: Iterator[Predicted], total: int, console: Console) -> Iterator[Predicted]:
    """Show progress if the results are not printed on a terminal."""
    if sys.stdout.isatty():
        yield from predicted
        return
    with waiting(console, f"classifying {counted(total, 'image')}") as status:
        for done, one in enumerate(predicted, 1):
            status.update(f"classifying: {done} of {counted(total, 'image')}")
            yield one


def _in_json(
    predicted: Iterator[Predicted], _paths: Sequence[Path], _classes: Sequence[str]
) -> Iterator[Predicted]:
    """Write a JSON list item by item, to keep memory constant for large folders."""
    before = "[\n"
    for one in predicted:
        sys.stdout.write(before + json.dumps(_document(one)))
        before = ",\n"
        yield one
    sys.stdout.write("\n]\n")


def _document(one: Predicted) -> dict[str, Any]:
    if one.error:
        return {"path": str(one.path), "error": one.error, "predictions": []}
    return {
        "path": str(one.path),
        "predictions": [
            {"class": guess.name, "index": guess.index, "probability": guess.probability}
            for guess in one.top
        ],
    }


def _in_lines(
    predicted: Iterator[Predicted], paths: Sequence[Path], classes: Sequence[str]
) -> Iterator[Predicted]:
    """Write each image's line as soon as it is classified."""
    width = _width("image", map(str, paths))
    named = _width("", classes)
    for number, one in enumerate(predicted):
        if not number:
            sys.stdout.write(f"{'image':{width}}  most likely classes\n")
        if not one.error:
            guesses = (f"{percent(g.probability):>6} {one_line(g.name):{named}}" for g in one.top)
            sys.stdout.write(
                f"{one_line(str(one.path)):{width}}  {'  '.join(guesses)}".rstrip() + "\n"
            )
            sys.stdout.flush()
        yield one


def _width(title: str, texts: Sequence[str] | Iterator[str]) -> int:
    return min(WIDEST, max([len(title), *(len(one_line(text)) for text in texts)]))
