"""Read a search's images, and settle what depends on their number."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Protocol

from rich.console import Console

from nas.cli.images import read_images
from nas.searching.config import SearchConfig
from nas.searching.fidelity import as_it_trains

if TYPE_CHECKING:
    from nas.data.images import Dataset
    from nas.data.load import ImageSource


class Read(Protocol):
    """Reads the images of a search."""

    def __call__(self, px: int, *, beside_px: Sequence[int] = ()) -> Dataset:
        """Read them at a size, beside others."""
        ...


def reader(config: SearchConfig, images: ImageSource, console: Console) -> Read:
    """Return what reads the images of a search at a size."""
    return partial(
        read_images,
        images,
        console=console,
        batch_size=config.recipe.batch_size,
        setting="recipe.batch_size (set it with --config)",
        how=config.recipe,
    )


def with_fidelity(config: SearchConfig, data: Dataset) -> SearchConfig:
    """Return the settings with the real length of a short training."""
    if config.fidelity is None:
        return config
    real = as_it_trains(config.fidelity, config.recipe, train_images=len(data.train))
    return config.model_copy(update={"fidelity": real})
