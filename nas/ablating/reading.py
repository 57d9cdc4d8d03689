"""Read the file of an ablation, which can be copied and changed."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from pydantic import ValidationError

from nas.ablating.network_lists import NetworkAblation
from nas.ablating.search_lists import SearchAblation
from search_spaces import InputError
from search_spaces.errors import first_problem
from search_spaces.nearest import did_you_mean
from search_spaces.spec import read_yaml

FOLDER = Path(str(resources.files("nas.ablating"))) / "lists"

NAMES = tuple(sorted(path.stem for path in FOLDER.glob("*.yaml")))


def read_ablation(source: str) -> tuple[NetworkAblation | SearchAblation, Path]:
    """Read an ablation; return it, and the folder of its file.

    Args:
        source: One of `NAMES`, or a YAML file.

    Raises:
        InputError: Neither a name nor a file, or the file is invalid.
    """
    path = FOLDER / f"{source}.yaml" if source in NAMES else Path(source)
    if not path.is_file():
        raise InputError(
            f"no ablation {source!r}, and no such file: there are {', '.join(NAMES)}"
            f"{did_you_mean(source, NAMES)}"
        )
    content = read_yaml(path)
    if not isinstance(content, dict):
        kind = type(content).__name__
        raise InputError(f"{path}: expected about, and networks or searches, got {kind}")
    kind_of = SearchAblation if "searches" in content else NetworkAblation
    try:
        return kind_of.model_validate(content), path.parent
    except ValidationError as error:
        raise InputError(f"{path}: {first_problem(error)}") from error
