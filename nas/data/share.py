"""A process's part of every batch, when several processes train one network."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Share:
    """One process's part of every batch.

    Attributes:
        rank: Number of the process, from 0.
        world: Number of processes.
    """

    rank: int = 0
    world: int = 1

    def part(self, count: int) -> slice:
        """Return which of `count` items are this process's: a contiguous slice.

        >>> [Share(rank, 3).part(8) for rank in range(3)]
        [slice(0, 2, None), slice(2, 5, None), slice(5, 8, None)]
        """
        return slice(self.rank * count // self.world, (self.rank + 1) * count // self.world)


WHOLE = Share()
"""A single process: it has all of every batch."""
