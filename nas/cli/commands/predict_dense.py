"""`nas predict` with a detector or a segmentation network: boxes or masks."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image
from rich.console import Console

from nas.atomic_files import write_whole
from nas.cli.errors import Failed
from nas.data.annotations.coco_ids import CocoIds
from nas.display.progress import waiting
from nas.formatting import counted, one_line
from search_spaces import InputError

if TYPE_CHECKING:
    from nas.export.dense_predict import Seen
    from nas.export.models import Model


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
    draw: Path | None,
    as_json: bool,
    ids: CocoIds | None,
) -> None:
    """Print what a network sees in images, and draw it.

    Args:
        model: The network.
        paths: The images.
        console: Shows progress.
        draw: Folder for the drawn images.
        as_json: Whether to print COCO's results.
        ids: The ids that these use; by default, places of images and indices of classes.

    Raises:
        InputError: The folder cannot be written to, or an image or a class has no id.
        Failed: Some images cannot be read.
    """
    from nas.export.dense_predict import seen_in  # imports torch

    require_folder(draw)
    if ids is not None:
        ids.require(paths, model.feed.classes)
    failed, results = 0, _Results() if as_json else None
    for number, one in enumerate(_progress(seen_in(model, paths), len(paths), console)):
        if one.error:
            failed += 1
            console.print(one_line(f"{one.path}: {one.error}"), soft_wrap=True)
            continue
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
    from nas.tasks.legend import with_legend  # imports torch

    assert one.prediction is not None
    assert one.pixels is not None
    height, width = one.pixels.shape[-2:]
    colors = one.prediction.colors(classes, size=(width, height))
    drawn = with_legend(one.prediction.drawn(one.pixels, classes), colors, classes=classes)
    content = io.BytesIO()
    Image.fromarray(drawn.permute(1, 2, 0).contiguous().numpy()).save(content, format="PNG")
    write_whole(path, content.getvalue())
