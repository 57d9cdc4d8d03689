"""`nas predict` with a detector or a segmentation network: boxes or masks."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from PIL import Image
from rich.console import Console

from nas.atomic_files import write_whole
from nas.cli.errors import Failed
from nas.cli.options.groups import OptionGroup
from nas.data.annotations.coco_ids import CocoIds
from nas.display.progress import waiting
from nas.formatting import counted, one_line
from nas.tasks import CLASSIFY, DETECT
from search_spaces import InputError

if TYPE_CHECKING:
    from nas.export.dense_predict import Seen
    from nas.export.models import Model


@dataclass(frozen=True, kw_only=True)
class DenseOptions(OptionGroup):
    """How boxes and masks are shown."""

    panel = "Boxes and masks"

    draw: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write the images with boxes or masks into this folder."),
    ] = None
    score: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Lowest score of the boxes that are printed and drawn; 0.3. --json has all.",
        ),
    ] = None
    coco: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="COCO's JSON of the images: --json then has its ids of images and categories.",
        ),
    ] = None

    def require_effect(self, *, as_json: bool) -> None:
        """Check that the options change what is shown.

        Raises:
            InputError: One is for JSON or for text, and the other is printed.
        """
        if self.coco is not None and not as_json:
            raise InputError(f"--coco {self.coco} applies to --json: add --json, or leave it out")
        if self.score is not None and as_json and self.draw is None:
            raise InputError(
                f"--score {self.score:g} does not apply to --json, which has all boxes: leave it out, or "
                "add --draw"
            )

    def require_task(self, task: str) -> None:
        """Check that the options apply to what a network does.

        Raises:
            InputError: One does not.
        """
        for option, given in (("--draw draws", self.draw), ("--coco numbers", self.coco)):
            if task == CLASSIFY and given is not None:
                raise InputError(
                    f"{option} boxes and masks, and this network classifies: leave it out"
                )
        if task != DETECT and self.score is not None:
            raise InputError(
                f"--score {self.score:g} chooses boxes, and this network is for the task {task}: leave it "
                "out"
            )


def require_folder(folder: Path | None) -> None:
    """Check that drawn images can be written into a folder, and create it.

    Raises:
        InputError: It is a file, or cannot be created.
    """
    if folder is None:
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--draw {folder}: {error.strerror}: give a folder to write to") from error


def predict_dense(
    model: Model,
    paths: Sequence[Path],
    console: Console,
    *,
    options: DenseOptions,
    as_json: bool,
) -> None:
    """Print what a network sees in images, and draw it.

    Args:
        model: The network.
        paths: The images.
        console: Shows progress.
        options: How boxes and masks are shown.
        as_json: Whether to print COCO's results.

    Raises:
        InputError: COCO's JSON cannot be read or lacks an image or a class, or the folder cannot be
            written to.
        Failed: Some images cannot be read.
    """
    from nas.export.dense_predict import seen_in  # imports torch

    draw = options.draw
    ids = None if options.coco is None else CocoIds.read(options.coco)
    require_folder(draw)
    if ids is not None:
        ids.require(paths, model.feed.classes)
    failed, results = 0, _Results() if as_json else None
    for number, one in enumerate(_progress(seen_in(model, paths), len(paths), console)):
        if one.error:
            failed += 1
            console.print(one_line(f"{one.path}: {one.error}"), soft_wrap=True)
            continue
        one = _from_score(one, options.score)
        assert one.prediction is not None
        if results is not None:
            results.write(_document(one, number, model.feed.classes, ids))
        else:
            said = one.prediction.said(model.feed.classes)
            sys.stdout.write(f"{one_line(str(one.path))}  {one_line(said)}\n")
        if draw is not None:
            _draw(one, draw / _drawn_name(one.path, number), model.feed.classes)
    if results is not None:
        results.end()
    if draw is not None:
        drawn = counted(len(paths) - failed, "image")
        console.print(f"{draw}/: {drawn} with what the network sees", soft_wrap=True)
    if failed:
        raise Failed(f"{failed} of {counted(len(paths), 'image')} could not be read")


def _from_score(one: Seen, score: float | None) -> Seen:
    """Return what is seen with the lowest score of the boxes that are shown."""
    from nas.tasks.detection.found_boxes import FoundBoxes  # imports torch

    if score is None or not isinstance(one.prediction, FoundBoxes):
        return one
    return replace(one, prediction=replace(one.prediction, drawn_from=score))


class _Results:
    """Writes a JSON list to standard output item by item, to keep memory constant for large folders."""

    def __init__(self) -> None:
        self._before = "["

    def write(self, entries: Iterable[dict[str, Any]]) -> None:
        """Write some items."""
        for entry in entries:
            sys.stdout.write(self._before + json.dumps(entry))
            self._before = ",\n"

    def end(self) -> None:
        """Close the list."""
        sys.stdout.write("[]\n" if self._before == "[" else "]\n")


def _progress(seen: Iterator[Seen], total: int, console: Console) -> Iterator[Seen]:
    with waiting(console, f"looking at {counted(total, 'image')}") as status:
        for done, one in enumerate(seen, 1):
            status.update(f"looking: {done} of {counted(total, 'image')}")
            yield one


def _document(
    one: Seen, number: int, classes: Sequence[str], ids: CocoIds | None
) -> list[dict[str, Any]]:
    """Return COCO's results of an image; without ids, it has its place among the images."""
    assert one.prediction is not None
    image = {"image_id": number, "file_name": str(one.path)}
    found: list[dict[str, Any]] = one.prediction.document(classes, size=one.size)
    if ids is not None:
        image["image_id"] = ids.images[one.path.name]
        known = [entry for entry in found if entry["category"] in ids.categories]
        found = [entry | {"category_id": ids.categories[entry["category"]]} for entry in known]
    return [image | entry for entry in found]


def _drawn_name(path: Path, number: int) -> str:
    """Return a name that no other image has.

    >>> _drawn_name(Path("a/cat.jpg"), 3)
    '3-cat.png'
    """
    return f"{number}-{path.stem}.png"


def _draw(one: Seen, path: Path, classes: Sequence[str]) -> None:
    from nas.tasks.drawing.legend import with_legend  # imports torch

    assert one.prediction is not None
    assert one.pixels is not None
    height, width = one.pixels.shape[-2:]
    colors = one.prediction.colors(classes, size=(width, height))
    drawn = with_legend(one.prediction.drawn(one.pixels, classes), colors, classes=classes)
    content = io.BytesIO()
    Image.fromarray(drawn.permute(1, 2, 0).contiguous().numpy()).save(content, format="PNG")
    write_whole(path, content.getvalue())
