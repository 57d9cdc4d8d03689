"""The widths that a group may take."""

from __future__ import annotations

from dataclasses import dataclass

from search_spaces.errors import InputError


@dataclass(frozen=True)
class Widths:
    """Multiples of `divisor`, none below `floor`.

    Raises:
        InputError: One of them is below 1.
    """

    divisor: int = 8
    floor: int = 8

    def __post_init__(self) -> None:
        if self.divisor < 1:
            raise InputError(
                f"divisor must be at least 1, got {self.divisor}: give 8, which suits most kernels"
            )
        if self.floor < 1:
            raise InputError(f"floor must be at least 1, got {self.floor}: give for instance 8")

    @property
    def narrowest(self) -> int:
        """The smallest allowed width."""
        return -(-self.floor // self.divisor) * self.divisor

    def below(self, width: int) -> range:
        """Return the widths narrower than `width`, ascending.

        >>> list(Widths(divisor=8, floor=12).below(36))
        [16, 24, 32]
        """
        return range(self.narrowest, width, self.divisor)

    def between(self, width: int, seed_width: int) -> list[int]:
        """Return the widths above `width` up to the seed's own, ascending.

        >>> Widths(divisor=8).between(16, 36)
        [24, 32, 36]
        """
        first = (width // self.divisor + 1) * self.divisor
        return [*range(first, seed_width, self.divisor), *[seed_width][: seed_width > width]]
