"""`nas data`: what a folder of images holds, before anything is trained on it."""

from __future__ import annotations

import io
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from nas.atomic_files import write_whole
from nas.cli.data_options import ImageOptions, data_config
from nas.cli.images import find_images, read_images
from nas.cli.option_groups import with_groups
from nas.display.output import JsonFlag, messages, print_json, results
from nas.display.progress import waiting
from nas.formatting import counted, one_line
from search_spaces import InputError

if TYPE_CHECKING:
    from nas.data.inspection import Copies, Inspection

NAMED = 5
"""Number of images or groups that are listed; --json has all."""


@with_groups
def data(
    source: Annotated[str, typer.Argument(help="A folder of class folders, or a data set's name.")],
    images: ImageOptions,
    picture: Annotated[
        Path | None,
        typer.Option(help="Write a PNG with some images of each class, also as augmented."),
    ] = None,
    recipe: Annotated[
        str, typer.Option(metavar="NAME|FILE", help="Recipe whose augmentation is drawn.")
    ] = "proxy",
    resolution: Annotated[
        int | None, typer.Option(help="Side in pixels of the drawn images; default: their own.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Look through images: counts by class and split, sizes, unreadable files, copies across splits."""
    if picture is not None and not picture.absolute().parent.is_dir():
        raise InputError(f"no folder {picture.parent}: create it, or choose another --picture")
    if picture is not None and picture.suffix.lower() != ".png":
        raise InputError(f"--picture writes PNG, got {picture}: give a name that ends with .png")
    from nas.data.inspection import inspect  # these import torch
    from nas.training.named_recipes import read_recipe

    how, console = read_recipe(recipe), messages()
    wanted = data_config(source, proxy_resolution=resolution, **images.settings())
    found = find_images(wanted, console)
    looking = f"looking at the images of {found.name}"
    with waiting(console, looking) as status:
        seen = inspect(
            found, progress=lambda done, total: status.update(f"{looking}: {done} of {total}")
        )
    if as_json:
        print_json(_document(seen))
    else:
        results().print(_table(seen))
        for line in _lines(seen):
            console.print(line, soft_wrap=True)
    if picture is not None:
        px = wanted.proxy_resolution or found.default_px()
        _draw(found, px, how, picture, console)


def _draw(found: Any, px: int, how: Any, path: Path, console: Console) -> None:
    from nas.training.augmentation.sample_sheet import sample_sheet  # imports torch

    shown = read_images(found, px, console, batch_size=1, augment=how.augment)
    content = io.BytesIO()
    sample_sheet(shown, how.augment).save(content, format="PNG")
    write_whole(path, content.getvalue())
    console.print(
        f"{path}: images as they are, each followed by two random augmentations of it, at {px} px",
        soft_wrap=True,
    )


def _table(seen: Inspection) -> Table:
    """Tabulate the number of images by class and split."""
    table = Table("class", box=SIMPLE)
    for split in seen.counts:
        table.add_column(split, justify="right")
    for label, name in enumerate(seen.classes):
        table.add_row(one_line(name), *(str(counts[label]) for counts in seen.counts.values()))
    table.add_section()
    table.add_row("all", *(f"{sum(counts):,}" for counts in seen.counts.values()))
    return table


def _lines(seen: Inspection) -> list[str]:
    """Describe sizes, and everything that a user should look at."""
    shortest, median, longest = seen.sides
    lines = [f"shorter side {shortest} to {longest} px, median {median} px"]
    for split, names in seen.missing.items():
        if names:
            lines.append(f"no images in {split}: {', '.join(names[:NAMED])}{_more(len(names))}")
    if seen.unreadable:
        named = "; ".join(f"{bad.name} ({bad.reason})" for bad in seen.unreadable[:NAMED])
        lines.append(
            f"{counted(len(seen.unreadable), 'image')} cannot be read: {named}"
            f"{_more(len(seen.unreadable))}: repair or remove them, or take --skip-bad-images"
        )
    leaks = [group for group in seen.copies if group.across_splits]
    wrong = [group for group in seen.copies if group.across_classes]
    lines += _groups(leaks, "in several splits, so that test images are trained on")
    lines += _groups(wrong, "in several classes, so that some labels are wrong")
    others = len(seen.copies) - len({id(group) for group in (*leaks, *wrong)})
    if others:
        lines.append(f"{counted(others, 'other image')} with copies in the same split and class")
    return lines


def _groups(groups: list[Copies], what: str) -> list[str]:
    if not groups:
        return []
    named = "; ".join(" = ".join(m.name for m in group.members[:3]) for group in groups[:NAMED])
    return [f"{counted(len(groups), 'image')} {what}: {named}{_more(len(groups))}"]


def _more(count: int) -> str:
    return f" and {count - NAMED} more" if count > NAMED else ""


def _document(seen: Inspection) -> dict[str, Any]:
    return {
        "classes": list(seen.classes),
        "counts": {split: list(counts) for split, counts in seen.counts.items()},
        "shorter_side_px": dict(zip(("min", "median", "max"), seen.sides, strict=True)),
        "missing": {split: list(names) for split, names in seen.missing.items()},
        "unreadable": [{"name": bad.name, "reason": bad.reason} for bad in seen.unreadable],
        "copies": [
            {
                "across_splits": group.across_splits,
                "across_classes": group.across_classes,
                "images": [asdict(member) for member in group.members],
            }
            for group in seen.copies
        ],
    }
