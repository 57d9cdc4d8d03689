"""Load built-in spaces, and the user's own from YAML files of the same format."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

import yaml
from pydantic import ValidationError

from search_spaces.errors import InputError, first_problem
from search_spaces.nearest import did_you_mean
from search_spaces.spaces.elastic import ElasticSpace
from search_spaces.spaces.elastic_file import YAML, ElasticFile
from search_spaces.spaces.factorized import FactorizedSpace
from search_spaces.spec import SCHEMA, read_yaml

SPACES = {"mnasnet": "mnasnet.yaml"}
"""Files of the built-in spaces, by name."""


def load_space(
    source: str | Path, *, resolution: int = 224, classes: int = 1000
) -> FactorizedSpace | ElasticSpace:
    """Load a built-in space by name, or the user's own from a YAML file.

    Args:
        source: A name in `SPACES`, or a path ending in .yaml or .yml. A file with the key `parent` gives
            the space of its sub-networks.
        resolution: Side of the networks' input in pixels; ignored where the file has `resolutions`.
        classes: Number of classes.

    Raises:
        InputError: The space is unknown, or a key is unknown, missing or of a wrong type.
    """
    if (file := ElasticFile.read(source)) is not None:
        return file.space(classes=classes, resolutions=(resolution,))
    if str(source) in SPACES:
        data: object = yaml.safe_load(
            (resources.files("search_spaces.spaces") / SPACES[str(source)]).read_text("utf-8")
        )
    elif str(source).endswith(YAML):
        data = read_yaml(source)
    else:
        known = ", ".join(SPACES)
        hint = did_you_mean(str(source), SPACES)
        raise InputError(
            f"unknown space {str(source)!r}: known are {known}, or give a YAML file{hint}"
        )
    return space_from_dict(data, where=str(source), resolution=resolution, classes=classes)


def space_from_dict(
    data: object, *, where: str = "space", resolution: int = 224, classes: int = 1000
) -> FactorizedSpace:
    """Make a space from plain data, as in a YAML file.

    Raises:
        InputError: See `load_space`.
    """
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        raise InputError(
            f"{where}: not a search space: it needs keys and values, with schema: {SCHEMA}"
        )
    rest = {key: value for key, value in data.items() if key != "schema"}
    head = rest.get("head")
    for given, key in ((rest, "resolution"), (head if isinstance(head, dict) else {}, "classes")):
        if key in given:
            raise InputError(
                f"{where}: unknown key '{key}': it is given with the search, not the space"
            )
    if isinstance(head, dict):
        rest["head"] = head | {"classes": classes}
    try:
        return FactorizedSpace.model_validate_json(json.dumps(rest | {"resolution": resolution}))
    except ValidationError as error:
        raise InputError(f"{where}: {first_problem(error)}") from error
    except TypeError as error:
        raise InputError(f"{where}: {error}: use plain numbers and strings") from error
