"""`nas data`: what a folder of images holds, before anything is trained on it."""

from __future__ import annotations

import io
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from nas.atomic_files import write_whole
from nas.cli.commands.evaluating.detail_tables import drawn
from nas.cli.commands.label_error_list import LabelErrors
from nas.cli.commands.label_errors import LabelErrorOptions, require_classes
from nas.cli.images import find_images, read_images
from nas.cli.options.data import data_config
from nas.cli.options.groups import OptionGroup, with_groups
from nas.cli.options.task import TaskOptions
from nas.display.output import JsonFlag, messages, print_json, results
from nas.display.progress import waiting
from nas.formatting import counted
from nas.tasks import task_of
from search_spaces import InputError

if TYPE_CHECKING:
    from nas.data.inspection import Copies, Inspection
    from nas.data.source import ImageSource
    from nas.training.recipe import Recipe

NAMED = 5
"""Number of images or groups that are listed; --json has all."""


@dataclass(frozen=True, kw_only=True)
class PictureOptions(OptionGroup):
    """A picture of what training sees."""

    panel = "Picture of augmented images"

    picture: Annotated[
        Path | None,
        typer.Option(
            help="Write a PNG with some images of each class, also as augmented, with boxes and masks."
        ),
    ] = None
    recipe: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            help="Recipe whose augmentation is drawn; proxy, or detect for boxes and segment for masks.",
        ),
    ] = None
    resolution: Annotated[
        int | None, typer.Option(help="Side in pixels of the drawn images; default: their own.")
    ] = None

    def training(self, task: str) -> Recipe:
        """Return the recipe.

        Raises:
            InputError: There is no such recipe.
        """
        from nas.training.named_recipes import read_recipe

        default = task_of(task).usual.from_scratch
        return read_recipe(self.recipe or default, base=default, task=task)

    def require_png(self) -> None:
        """Check the picture's name and folder before anything is read.

        Raises:
            InputError: The folder does not exist, or the name is not of a PNG file.
        """
        if self.picture is None:
            return
        if not self.picture.absolute().parent.is_dir():
            raise InputError(
                f"no folder {self.picture.parent}: create it, or choose another --picture"
            )
        if self.picture.suffix.lower() != ".png":
            raise InputError(
                f"--picture writes PNG, got {self.picture}: give a name that ends with .png"
            )


@with_groups
def data(
    source: Annotated[str, typer.Argument(help="A folder of images, or a data set's name.")],
    images: TaskOptions,
    labels: LabelErrorOptions,
    drawing: PictureOptions,
    as_json: JsonFlag = False,
) -> None:
    """Look through images: counts by class and split, sizes, unreadable files, copies, wrong labels.

    For images with boxes or masks: the objects or pixels of each class, their sizes, and what is ignored.
    """
    drawing.require_png()
    from nas.data.finding import task_of_source

    settings = images.settings()
    task = task_of_source(source, images.task)
    if labels.network is not None:
        require_classes(task)
    how, console = drawing.training(task), messages()
    wanted = data_config(source, proxy_resolution=drawing.resolution, **settings)
    judge = labels.judge(source, console, picture=drawing.picture)
    found = find_images(wanted, console) if judge is None else judge.images(wanted)
    seen = _inspected(found, console)
    survey = task_of(found.task).survey(seen.regions, seen.classes)
    wrong = None if judge is None else judge.label_errors(found)
    if as_json:
        more = {} if wrong is None else {"label_errors": wrong.document()}
        print_json(_document(seen) | dict(survey.document) | more)
    else:
        for table in survey.tables:
            results().print(drawn(table))
        for line in (*survey.lines, *_lines(seen)):
            console.print(line, soft_wrap=True)
        if wrong is not None:
            _show(wrong, source, labels.worst, console)
    if wrong is not None and labels.output is not None:
        _write(wrong, labels.output, labels.worst, console)
    if drawing.picture is not None:
        px = wanted.proxy_resolution or found.default_px()
        _draw(found, seen, px, how, drawing.picture, console)


def _inspected(found: ImageSource, console: Console) -> Inspection:
    from nas.data.inspection import inspect  # imports torch

    looking = f"looking at the images of {found.name}"
    with waiting(console, looking) as status:
        return inspect(
            found,
            regions=task_of(found.task).regions,
            progress=lambda done, total: status.update(f"{looking}: {done} of {total}"),
        )


def _show(wrong: LabelErrors, folder: str, worst: int, console: Console) -> None:
    if wrong.suspects:
        results().print(wrong.table(worst, folder=folder))
    for line in wrong.lines():
        console.print(line, soft_wrap=True)


def _write(wrong: LabelErrors, output: Path, worst: int, console: Console) -> None:
    write_whole(output, wrong.csv())
    console.print(f"{output}: all images that look like another class", soft_wrap=True)
    if wrong.suspects:
        drawing = output.with_suffix(".png")
        write_whole(drawing, wrong.picture(worst))
        console.print(f"{drawing}: the worst of them", soft_wrap=True)


def _draw(
    found: ImageSource, seen: Inspection, px: int, how: Recipe, path: Path, console: Console
) -> None:
    from nas.tasks.augmentation.sample_sheet import sample_sheet  # imports torch

    shown = read_images(found, px, console, batch_size=1, how=how)
    members = {name: seen.having("train", index) for index, name in enumerate(seen.classes)}
    if empty := seen.having("train", None):
        members["(none)"] = empty
    content = io.BytesIO()
    sample_sheet(shown, how, members).save(content, format="PNG")
    write_whole(path, content.getvalue())
    console.print(
        f"{path}: images as they are, each followed by two random augmentations of it, at {px} px",
        soft_wrap=True,
    )


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
    lines += _groups(leaks, "in several splits, so that accuracy on val or test looks too high")
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
