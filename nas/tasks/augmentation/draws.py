"""Random numbers for each image of a batch, of which a process may hold a part."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from nas.data.share import WHOLE, Share


@dataclass(frozen=True)
class Draws:
    """Draws for the images of a process: for the whole batch, of which its part is taken.

    Each image has its own draws, whatever the number of processes.

    Attributes:
        generator: Seeded alike in all processes; on the images' device.
        count: Images of this process.
        share: Which part of the batch they are.
    """

    generator: torch.Generator
    count: int
    share: Share = WHOLE

    @property
    def device(self) -> torch.device:
        """Device of the numbers."""
        return self.generator.device

    def uniform(self, *leading: int) -> Tensor:
        """Draw from 0..1, (*leading, count)."""
        whole = self.count * self.share.world
        drawn = torch.rand(*leading, whole, generator=self.generator, device=self.device)
        return drawn[..., self.share.part(whole)]

    def signed(self) -> Tensor:
        """Draw from -1..1, (count, 1, 1, 1)."""
        return 2 * self.uniform().view(-1, 1, 1, 1) - 1

    def coins(self) -> Tensor:
        """Draw bool (count,), True with probability 1/2."""
        return self.uniform() < 0.5

    def below(self, limit: int) -> Tensor:
        """Draw whole numbers from 0 to `limit` - 1, int64 (count,)."""
        whole = self.count * self.share.world
        drawn = torch.randint(limit, (whole,), generator=self.generator, device=self.device)
        return drawn[self.share.part(whole)]
