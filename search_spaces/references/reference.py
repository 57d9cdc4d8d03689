"""The type of published networks: a design at a width multiplier, resolution and number of classes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from search_spaces.spec import ArchSpec
from search_spaces.widths import Convention, Scale

RESOLUTION = 224
CLASSES = 1000
"""ImageNet's, as in the designs."""


class Reference(Protocol):
    """A published network, at any width multiplier and resolution."""

    def __call__(
        self,
        *,
        width: float = 1.0,
        resolution: int = RESOLUTION,
        classes: int = CLASSES,
        convention: Convention = "paper",
    ) -> ArchSpec:
        """Return the network's spec.

        Args:
            width: Multiplier of every layer's channels.
            resolution: Side of the input in pixels.
            classes: Number of classes.
            convention: Scaling rule, where code bases differ.

        Raises:
            InputError: The width is not a positive number, or the convention is unknown.
        """


def reference(design: Callable[[Scale], ArchSpec]) -> Reference:
    """Wrap a design at `RESOLUTION` with `CLASSES` as a `Reference` with its name and docstring."""

    def network(
        *,
        width: float = 1.0,
        resolution: int = RESOLUTION,
        classes: int = CLASSES,
        convention: Convention = "paper",
    ) -> ArchSpec:
        spec = design(Scale(width, convention))
        return replace(spec, resolution=resolution, head=replace(spec.head, classes=classes))

    network.__name__, network.__qualname__ = design.__name__, design.__qualname__
    network.__doc__, network.__module__ = design.__doc__, design.__module__
    return network
