"""What tasks share whose targets lie in the image, and move with it: boxes and masks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from nas.randomness import global_seed
from nas.tasks.augmentation.draws import Draws

if TYPE_CHECKING:
    from nas.data.share import Share
    from nas.tasks.task import Learning

Change = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""Changes an image, uint8 (3, S, S), and its target at random, by torch's global generator."""


class DenseTask(ABC):
    """A task whose images are changed one by one, each with its target."""

    @abstractmethod
    def change(self, how: Learning, *, size_px: int) -> Change:
        """Return what happens to an image of a training, which then has this side."""

    def augmented(
        self,
        images: Tensor,
        targets: Tensor,
        how: Learning,
        *,
        generator: torch.Generator,
        size_px: int | None,
        share: Share,
    ) -> tuple[Tensor, Tensor]:
        """Change each image, and its target with it. See `Task.augmented`."""
        side = images.shape[-1] if size_px is None else size_px
        change = self.change(how, size_px=side)
        seeds = Draws(generator, len(images), share).below(2**62).tolist()
        pixels = images.new_empty((len(images), 3, side, side))
        pixels = pixels.contiguous(memory_format=torch.channels_last)
        changed: list[Tensor] = []
        for index, seed in enumerate(seeds):
            with global_seed(seed):
                pixels[index], target = change(images[index], targets[index])
            changed.append(target)
        return pixels, torch.stack(changed) if changed else targets

    def mixed(
        self,
        pixels: Tensor,
        targets: Tensor,
        how: Learning,  # noqa: ARG002
        *,
        classes: int,  # noqa: ARG002
        seed: int,  # noqa: ARG002
    ) -> tuple[Tensor, Tensor]:
        """Return the images as they are: mixed images have no targets of this kind."""
        return pixels, targets
