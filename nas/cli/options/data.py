"""Options shared by the commands that read images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from nas.cli.options.groups import OptionGroup
from nas.data.config import DataConfig
from search_spaces import InputError
from search_spaces.errors import first_problem


@dataclass(frozen=True, kw_only=True)
class ImageOptions(OptionGroup):
    """How images are read; `settings` are those of `DataConfig`."""

    panel = "Reading images"

    layout: Annotated[
        str | None,
        typer.Option(
            metavar="flat|split",
            help="flat: class folders; split: train, val and test folders; detected by default.",
        ),
    ] = None
    max_megapixels: Annotated[
        float | None, typer.Option(help="Reject images of more megapixels; 400.")
    ] = None
    memory_limit_mb: Annotated[
        int | None,
        typer.Option(
            help="Memory for images in MB; if they need more, they are decoded as they are used; 4096."
        ),
    ] = None
    decoding_workers: Annotated[
        int | None, typer.Option(help="Processes of a training that decode images then.")
    ] = None
    skip_bad_images: Annotated[
        bool, typer.Option("--skip-bad-images", help="Skip unreadable images and list them.")
    ] = False


OPTIONS = {
    "layout": "--layout",
    "max_megapixels": "--max-megapixels",
    "memory_limit_mb": "--memory-limit-mb",
    "decoding_workers": "--decoding-workers",
    "source": "--data",
}


def data_config(source: str, **settings: Any) -> DataConfig:
    """Build a `DataConfig` from options.

    Raises:
        InputError: An option is invalid; the message names it.
    """
    try:
        return DataConfig(source=source, **settings)
    except ValidationError as error:
        name, colon, rest = first_problem(error).partition(":")
        named = OPTIONS.get(name, "--resolution" if name == "proxy_resolution" else name)
        raise InputError(f"{named}{colon}{rest}") from error


def absolute(data: DataConfig) -> DataConfig:
    """Make the path of an image folder absolute."""
    from nas.data.finding import expanded, is_folder  # imports torch

    if not is_folder(data.source):
        return data
    return data.model_copy(update={"source": str(expanded(data.source).absolute())})


def found_again(data: DataConfig, run: Path) -> DataConfig:
    """Resolve a run's image folder, whose path may be relative to where the run was started.

    Args:
        data: Settings from the run's `config.yaml`.
        run: The run's folder.

    Raises:
        InputError: The folder exists neither here nor in a parent of the run's folder.
    """
    from nas.data.embedded import NAMES  # imports PIL, the others torch
    from nas.data.finding import expanded, is_folder
    from nas.data.torchvision_sets import canonical_name

    known = data.source in NAMES or canonical_name(data.source) is not None
    path = expanded(data.source)
    if path.is_absolute() or path.exists() or (known and not is_folder(data.source)):
        return data
    # Unless --runs was given, a run is in runs/ of the folder it was started in.
    for folder in run.absolute().parents:
        if (folder / path).is_dir():
            return data.model_copy(update={"source": str(folder / path)})
    raise InputError(
        f"{run}: no image folder {data.source}, a path relative to the folder the run was started in: "
        "resume from that folder, or set data.source in the run's config.yaml to an absolute path"
    )
