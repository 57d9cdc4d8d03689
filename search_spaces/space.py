"""The contract of a search space: token sequences to networks and back."""

from __future__ import annotations

from typing import Protocol

from search_spaces.spec import ArchSpec

Tokens = tuple[int, ...]
"""One choice a decision, block-major: all decisions of the first block, then of the second, ..."""


class SearchSpace(Protocol):
    """What a search needs of a space."""

    @property
    def name(self) -> str:
        """For people."""
        ...

    @property
    def arities(self) -> tuple[int, ...]:
        """Number of choices of each decision."""
        ...

    def decode(self, tokens: Tokens) -> ArchSpec:
        """The network of a token sequence; total on in-range tokens."""
        ...

    def encode(self, spec: ArchSpec) -> Tokens:
        """Tokens of a network of the space, so that `decode(encode(s)) == s`.

        Raises:
            InputError: The network is not in the space.
        """
        ...

    @property
    def labels(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Each decision's name and its choices' names, for people."""
        ...
