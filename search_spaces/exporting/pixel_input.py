"""A network that takes uint8 pixels and normalizes them itself."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from search_spaces.network import Network, Outputs
from search_spaces.spec import ArchSpec


class PixelInput(nn.Module):
    """A network preceded by `(pixel / 255 - mean) / std`.

    Input (batch, side, side, 3) uint8 in RGB order, output as the
    network's.

    Args:
        network: Takes normalized images (batch, 3, side, side).
        spec: Its spec.
        mean: Per channel, of pixels in 0..1.
        std: Per channel, of pixels in 0..1.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, network: nn.Module, spec: ArchSpec, *, mean: Sequence[float], std: Sequence[float]
    ) -> None:
        super().__init__()
        self.network, self.spec = network, spec
        device = next(network.parameters()).device
        # Bitwise equal to the training's `normalize`.
        self.register_buffer("mean", 255 * torch.tensor(mean, device=device))
        self.register_buffer("std", 255 * torch.tensor(std, device=device))

    def forward(self, image: Tensor) -> Outputs:
        """Compute the network's outputs.

        Args:
            image: uint8 (batch, side, side, 3).
        """
        normalized = (image.to(torch.float32) - self.mean) / self.std
        outputs: Outputs = self.network(normalized.permute(0, 3, 1, 2))
        return outputs


Exportable = Network | PixelInput


def example_input(module: Exportable, *, width_px: int | None = None) -> Tensor:
    """Return a black image of the size and type that a module takes, on its device."""
    side, device = module.spec.resolution, next(module.parameters()).device
    width = side if width_px is None else width_px
    if isinstance(module, PixelInput):
        return torch.zeros(1, side, width, 3, dtype=torch.uint8, device=device)
    return torch.zeros(1, 3, side, width, device=device)
