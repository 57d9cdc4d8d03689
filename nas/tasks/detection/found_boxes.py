"""Boxes in an image: those that a detector finds, or those that are annotated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torchvision.ops import box_iou
from torchvision.utils import draw_bounding_boxes

from nas.data.masks.coding import Color
from nas.tasks.drawing.colors import color
from nas.tasks.drawing.lettering import lettering

DRAWN_SCORE = 0.3
"""Boxes of a lower score are usually not drawn: most of the hundred in an image have one."""

SAME_IOU = 0.9
"""From which on boxes of two networks count as the same."""


@dataclass(frozen=True)
class FoundBoxes:
    """The boxes in an image, the best score first.

    Attributes:
        corners: float32 (n, 4): x1, y1, x2, y2 as fractions of the image's width and height.
        scores: float32 (n,), in 0..1; None for annotated boxes.
        classes: int64 (n,): class indices, without the background.
        drawn_from: Lowest score of the boxes that are drawn and said.
    """

    corners: Tensor
    scores: Tensor | None
    classes: Tensor
    drawn_from: float = DRAWN_SCORE

    def __len__(self) -> int:
        return len(self.classes)

    def drawn(self, pixels: Tensor, classes: Sequence[str]) -> Tensor:
        """Draw the boxes with class and score.

        Args:
            pixels: uint8 (3, H, W), on the CPU; not modified.
            classes: Names of the classes.

        Returns:
            uint8 (3, H, W).
        """
        shown = self._worth_drawing()
        if not len(shown):
            return pixels.clone()
        height, width = pixels.shape[-2:]
        scale = torch.tensor([width, height, width, height])
        colors = [color(int(index)) for index in shown.classes]
        font, written = lettering(tuple(classes))
        drawn: Tensor = draw_bounding_boxes(
            pixels,
            (shown.corners * scale).clamp(min=0),
            [_label(written[classes[index]], score) for index, score in shown._pairs()],
            colors=colors,
            width=max(2, min(height, width) // 150),
            font=font,
            font_size=max(9, min(height, width) // 28),
            fill_labels=True,
            label_colors="white",
            label_background_colors=colors,
        )
        return drawn

    def colors(
        self,
        classes: Sequence[str],  # noqa: ARG002
        *,
        size: tuple[int, int],  # noqa: ARG002
    ) -> dict[str, Color]:
        """Return nothing: each box has its name."""
        return {}

    def said(self, classes: Sequence[str]) -> str:
        """Return class and score of the boxes that are drawn."""
        shown = self._worth_drawing()
        return ", ".join(_label(classes[index], score) for index, score in shown._pairs()) or "-"

    def document(self, classes: Sequence[str], *, size: tuple[int, int]) -> list[dict[str, Any]]:
        """Return the boxes as COCO's results have them, without the image's id.

        Args:
            classes: Names of the classes.
            size: Width and height of the image in pixels.
        """
        width, height = size
        return [
            {
                "category_id": int(index),
                "category": classes[int(index)],
                "bbox": [x1 * width, y1 * height, (x2 - x1) * width, (y2 - y1) * height],
                **({} if score is None else {"score": score}),
            }
            for (index, score), (x1, y1, x2, y2) in zip(
                self._pairs(), self.corners.tolist(), strict=True
            )
        ]

    def agreement(self, other: FoundBoxes) -> float:
        """Return how much of the boxes' summed scores both have: of a class, at an IoU of at least 0.9."""
        ours, theirs = self._weights(), other._weights()
        same = self.classes[:, None] == other.classes
        same &= box_iou(self.corners, other.corners) >= SAME_IOU  # (n, m)
        shared = ours[same.any(dim=1)].sum() + theirs[same.any(dim=0)].sum()
        total = ours.sum() + theirs.sum()
        return float(shared / total) if total > 0 else 1.0

    def _weights(self) -> Tensor:
        return torch.ones(len(self)) if self.scores is None else self.scores

    def _pairs(self) -> list[tuple[int, float | None]]:
        scores = [None] * len(self) if self.scores is None else self.scores.tolist()
        return list(zip(self.classes.tolist(), scores, strict=True))

    def _worth_drawing(self) -> FoundBoxes:
        if self.scores is None:
            return self
        kept = self.scores >= self.drawn_from
        return FoundBoxes(self.corners[kept], self.scores[kept], self.classes[kept])


def _label(name: str, score: float | None) -> str:
    return name if score is None else f"{name} {100 * score:.0f}%"
