"""The contract of a search space: token sequences to networks and back."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from search_spaces.spec import ArchSpec

Tokens = tuple[int, ...]
"""One choice per decision, block-major: all decisions of the first block, then of the second, ..."""


class SearchSpace(Protocol):
    """A search space, as a search uses it."""

    @property
    def name(self) -> str:
        """The space's name."""
        ...

    @property
    def arities(self) -> tuple[int, ...]:
        """Number of choices of each decision."""
        ...

    def decode(self, tokens: Tokens) -> ArchSpec:
        """Build the spec of a token sequence; total on in-range tokens."""
        ...

    def encode(self, spec: ArchSpec) -> Tokens:
        """Return the canonical tokens of a network, so that `decode(encode(s)) == s`.

        Raises:
            InputError: The network is not in the space.
        """
        ...

    @property
    def labels(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Each decision's name and the names of its choices, for display."""
        ...


@runtime_checkable
class SearchesResolution(Protocol):
    """Optional capability: the networks of the space have several input resolutions."""

    @property
    def resolutions(self) -> tuple[int, ...]:
        """The sides of the input, in pixels."""
        ...
