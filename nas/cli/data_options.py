"""Options of every command that reads images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from nas.data.config import DataConfig
from search_spaces import InputError
from search_spaces.errors import first_problem

LayoutOption = Annotated[
    str | None,
    typer.Option(
        metavar="flat|split",
        help="Whether the data's folders are classes, or train, val and test; told apart by default.",
    ),
]
MegapixelsOption = Annotated[
    float | None, typer.Option("--max-megapixels", help="No larger image is read; 400.")
]
SkipFlag = Annotated[
    bool,
    typer.Option("--skip-bad-images", help="Leave out images that cannot be read, and note them."),
]
AcceptFlag = Annotated[
    bool,
    typer.Option(
        "--accept-data-changes",
        help="With --resume: go on though images were added, removed or changed, and note it.",
    ),
]

OPTIONS = {"layout": "--layout", "max_megapixels": "--max-megapixels", "source": "--data"}


def data_settings(
    *, layout: str | None, max_megapixels: float | None, skip_bad_images: bool
) -> dict[str, Any]:
    """The options that were given, as settings of `DataConfig`."""
    given = {"layout": layout, "max_megapixels": max_megapixels}
    settings = {name: value for name, value in given.items() if value is not None}
    return settings | ({"skip_bad_images": True} if skip_bad_images else {})


def data_config(source: str, **settings: Any) -> DataConfig:
    """Settings of the images, from options.

    Raises:
        InputError: One is wrong; the option is named.
    """
    try:
        return DataConfig(source=source, **settings)
    except ValidationError as error:
        name, colon, rest = first_problem(error).partition(":")
        named = OPTIONS.get(name, "--resolution" if name == "proxy_resolution" else name)
        raise InputError(f"{named}{colon}{rest}") from error


def absolute(data: DataConfig) -> DataConfig:
    """The same, with a folder's path that holds from everywhere."""
    from nas.data.finding import expanded, is_folder

    if not is_folder(data.source):
        return data
    return data.model_copy(update={"source": str(expanded(data.source).absolute())})


def found_again(data: DataConfig, run: Path) -> DataConfig:
    """The images of a run's settings, whose folder may be told from where the run began.

    Args:
        data: As the run's `config.yaml` has it.
        run: The run's folder.

    Raises:
        InputError: The folder is not here, nor beside the run.
    """
    from nas.data.embedded import NAME
    from nas.data.finding import expanded, is_folder
    from nas.data.torchvision_sets import canonical_name

    known = data.source == NAME or canonical_name(data.source) is not None
    path = expanded(data.source)
    if path.is_absolute() or path.exists() or (known and not is_folder(data.source)):
        return data
    # Runs lie in runs/ of the folder that they began in, unless --runs said otherwise.
    for folder in run.absolute().parents:
        if (folder / path).is_dir():
            return data.model_copy(update={"source": str(folder / path)})
    raise InputError(
        f"{run}: its images are in {data.source}, a path from the folder in which the run began, which is "
        "not this one: resume it from there, or set data.source in its config.yaml to the whole path"
    )
