"""The user's own space of a parent's sub-networks, in a search from that parent."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from nas.searching.config import SearchConfig
from search_spaces import ArchSpec, InputError
from search_spaces.spaces.elastic_file import ElasticFile, is_network_of

if TYPE_CHECKING:
    from nas.checkpoints.checkpoint import Checkpoint

OWN_SPACE = "space.yaml"
"""A run's copy of the user's own space."""


def with_own_space(config: SearchConfig, parent: Checkpoint) -> SearchConfig:
    """Return the settings of a search from a parent, with the resolutions of the user's own space.

    Raises:
        InputError: The space is of another network's sub-networks, or has other resolutions than given.
    """
    assert config.parent is not None
    file = ElasticFile.read(config.space)
    if file is None:
        return config
    if not is_network_of(file.parent, parent.spec):
        raise InputError(
            f"space {config.space} has the sub-networks of {file.named}, and {config.parent.path} is "
            f"another network ({_difference(parent.spec, file.parent)}): give the weights of "
            f"{file.named} with --parent, or another parent in the file"
        )
    own, given = file.resolutions, config.parent.resolutions
    if own is None:
        return config
    if given is not None and set(given) != set(own):
        raise InputError(
            f"--resolutions {_listed(given)} contradicts space {config.space}, which has {_listed(own)}: "
            "leave one of them out"
        )
    searched = config.parent.model_copy(update={"resolutions": own})
    return config.model_copy(update={"parent": searched})


def own_space_copy(space: str) -> dict[str, bytes]:
    """Return a space's file for the run's folder, with no reference to other files."""
    file = ElasticFile.read(space)
    content = Path(space).read_bytes() if file is None else file.to_yaml().encode()
    return {OWN_SPACE: content}


def _difference(theirs: ArchSpec, ours: ArchSpec) -> str:
    """Name the first part in which two networks differ."""
    if len(theirs.blocks) != len(ours.blocks):
        return f"it has {len(theirs.blocks)} blocks, not {len(ours.blocks)}"
    for index, (one, other) in enumerate(zip(theirs.blocks, ours.blocks, strict=True)):
        if one != other:
            return f"block {index} differs"
    parts = ("stem", "bn_eps", "padding", "head")
    return f"its {next(part for part in parts if getattr(theirs, part) != getattr(ours, part))} differs"


def _listed(sides: tuple[int, ...]) -> str:
    return ",".join(map(str, sides))
