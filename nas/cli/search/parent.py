"""Open the parent of a search: its file, its resolutions, and the space of its sub-networks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from nas.cli.provenance import say_run
from nas.cli.specs import trained_file
from nas.searching.config import ParentConfig
from search_spaces import ElasticSpace, InputError
from search_spaces.errors import first_problem
from search_spaces.spaces.elastic import total_stride

if TYPE_CHECKING:
    from nas.checkpoints.checkpoint import Checkpoint

SMALLEST = 0.5
"""The smallest resolution by default, as a fraction of the largest."""

MOST_RESOLUTIONS = 5


def open_parent(config: ParentConfig) -> Checkpoint:
    """Read the parent's checkpoint.

    Raises:
        InputError: It is not a trained network, or cannot be read.
    """
    from nas.checkpoints.checkpoint import load_checkpoint  # imports torch

    path = trained_file(
        config.path, mend="import trained ones with nas import, or leave --parent out"
    )
    if path.suffix in (".pth", ".safetensors", ".ckpt", ".bin") and path.is_file():
        raise InputError(
            f"{config.path} has weights only: make a seed.pt of it with nas import --arch NAME --weights "
            f"{config.path}, and give that"
        )
    checkpoint = load_checkpoint(path)
    say_run(str(path), checkpoint.run)
    return checkpoint


def default_resolutions(parent: Checkpoint, largest: int) -> tuple[int, ...]:
    """Return up to five multiples of the network's stride, from the largest down to half of it.

    Raises:
        InputError: Not one fits.
    """
    stride = total_stride(parent.spec)
    sides = range(largest - largest % stride, 0, -stride)
    chosen = [side for side in sides if side >= SMALLEST * largest][:MOST_RESOLUTIONS]
    if not chosen:
        raise InputError(
            f"the images have {largest} px, less than the network's stride of {stride} px: give larger "
            f"images, or --resolution {stride}"
        )
    return tuple(chosen)


def elastic_space(
    parent: Checkpoint, resolutions: tuple[int, ...], *, classes: int
) -> ElasticSpace:
    """Return the space of a parent's sub-networks.

    Raises:
        InputError: A resolution does not fit the network.
    """
    head = replace(parent.spec.head, classes=classes)
    spec = replace(parent.spec, head=head, resolution=max(resolutions))
    try:
        return ElasticSpace(
            name="elastic", parent=spec, resolutions=tuple(sorted(resolutions, reverse=True))
        )
    except ValidationError as error:
        raise InputError(f"--resolutions: {first_problem(error)}") from error


def parent_file(folder: Path) -> Path:
    """Return a run's copy of its parent, as it was given."""
    return folder / "start.pt"
