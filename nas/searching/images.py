"""The images of a search, at each size that its networks need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

from nas.searching.sizes import Sizes, deployed_sizes
from search_spaces import ArchSpec, InputError, SearchSpace

if TYPE_CHECKING:
    from nas.checkpoints.usage import Usage
    from nas.data.images import Dataset


@dataclass(frozen=True)
class SearchImages:
    """The images of a search; all of them are normalized alike.

    Attributes:
        proxy: Those that trials train on; where resolution is searched, those of the largest size.
        deployed: Those of each deployed size, in pixels.
    """

    proxy: Dataset
    deployed: Mapping[int, Dataset]

    @classmethod
    def of(
        cls, space: SearchSpace, data: Dataset, final_data: Dataset | Mapping[int, Dataset] | None
    ) -> Self:
        """Return the images for the networks of a space, normalized like `data`.

        Args:
            space: The space that is searched.
            data: Images for trials.
            final_data: Images at the deployed size, or at each of them; `data` by default.

        Raises:
            InputError: A deployed size has no images.
        """
        given = _by_size(data if final_data is None else final_data)
        name = "data" if final_data is None else "final_data"
        wanted = deployed_sizes(space)
        for px in wanted:
            if px not in given:
                has = ", ".join(map(str, sorted(given)))
                raise InputError(
                    f"{name} has images of {has} px, but the space's networks are deployed at {px} px: "
                    f"give final_data with images at {px} px (nas.data.load.open_source(...).at({px})), "
                    f"or a space with the resolution {has}"
                )
        if len(wanted) > 1 and data.resolution_px != wanted[0]:
            raise InputError(
                f"data has images of {data.resolution_px} px, but trials train at each network's own size: "
                f"give those of {wanted[0]} px, the largest"
            )
        deployed = {px: replace(given[px], mean=data.mean, std=data.std) for px in wanted}
        return cls(data, deployed)

    def normalized_as(self, usage: Usage) -> Self:
        """Return the images with the normalization that a trained network is used to."""
        return self.normalized(usage.mean, usage.std)

    def normalized(self, mean: tuple[float, float, float], std: tuple[float, float, float]) -> Self:
        """Return the images with another mean and deviation of each channel."""

        def changed(data: Dataset) -> Dataset:
            return replace(data, mean=mean, std=std)

        deployed = {px: changed(data) for px, data in self.deployed.items()}
        return replace(self, proxy=changed(self.proxy), deployed=deployed)

    @property
    def sizes(self) -> Sizes:
        """The sizes of the search."""
        return Sizes(self.proxy.resolution_px, max(self.deployed), searched=len(self.deployed) > 1)

    def of_spec(self, spec: ArchSpec) -> Dataset:
        """Return the images at a network's deployed size."""
        return self.deployed[spec.resolution]


def _by_size(data: Dataset | Mapping[int, Dataset]) -> Mapping[int, Dataset]:
    return data if isinstance(data, Mapping) else {data.resolution_px: data}
