"""Ablations of networks: lists of networks that differ in one thing each.

    about: Nonlinearities of MobileNetV3-Large (table 5)
    networks:
    - {name: h-swish@80, network: mobilenet_v3_large}
    - {name: ReLU, network: mobilenet_v3_large, changes: [relu]}
    - {network: mobilenet_v3_large, width: 0.75, resolution: 160}

The first network is the one that the others are compared with.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, Field, model_validator

from nas.ablating.changes import changed
from nas.schema import SETTINGS, Positive
from search_spaces import REFERENCES, ArchSpec, InputError
from search_spaces.nearest import did_you_mean
from search_spaces.spec import load


class Variant(BaseModel):
    """A network of an ablation.

    Attributes:
        network: A reference's name, or a .yaml spec next to the ablation's file.
        name: What it is called; by default what it is made of.
        width: Width multiplier of a reference.
        resolution: Side of its images in pixels; None leaves it to the command.
        changes: See `nas.ablating.changes`.
    """

    model_config = SETTINGS

    network: str
    name: str | None = None
    width: Annotated[float, Field(gt=0)] = 1.0
    resolution: Positive | None = None
    changes: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """What it is called."""
        parts = [self.network if self.width == 1 else f"{self.network}@{self.width:g}"]
        parts += self.changes
        if self.resolution is not None:
            parts.append(f"{self.resolution} px")
        return self.name or ", ".join(parts)

    def px(self, folder: Path, otherwise: int | None) -> int | None:
        """Return the side of its images: its own, that of the command, or that of a .yaml spec."""
        spec_px = None if self.network in REFERENCES else self.spec(folder).resolution
        return self.resolution or otherwise or spec_px

    def spec(self, folder: Path) -> ArchSpec:
        """Return the network.

        Args:
            folder: That of the ablation's file.

        Raises:
            InputError: There is no such network, or a change does not apply to it.
        """
        if self.network in REFERENCES:
            spec = REFERENCES[self.network](width=self.width)
        elif self.network.endswith((".yaml", ".yml")):
            if self.width != 1:
                raise InputError(
                    f"{self.title}: a width is for references: {self.network} has its own"
                )
            spec = load(folder / self.network)
        else:
            known = ", ".join(REFERENCES)
            raise InputError(
                f"{self.title}: no network {self.network!r}: give a .yaml spec, or one of {known}"
                f"{did_you_mean(self.network, REFERENCES)}"
            )
        for change in self.changes:
            try:
                spec = changed(spec, change)
            except InputError as error:
                raise InputError(f"{self.title}: {error}") from error
        return spec


class NetworkAblation(BaseModel):
    """A list of networks to compare.

    Attributes:
        about: What they show, in a line.
        networks: The networks; the first is the one that the others are compared with.
    """

    model_config = SETTINGS

    about: str
    networks: Annotated[tuple[Variant, ...], Field(min_length=2)]

    @model_validator(mode="after")
    def _check(self) -> Self:
        titles = [one.title for one in self.networks]
        if twice := [title for title in titles if titles.count(title) > 1]:
            raise ValueError(f"two networks are called {twice[0]!r}: give them names")
        return self
