"""From a detector's outputs to boxes: decoding and non-maximum suppression."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torchvision.ops import batched_nms

from nas.tasks.detection.found_boxes import FoundBoxes
from nas.tasks.detection.matching import decoded


@dataclass(frozen=True)
class Suppression:
    """Which boxes are kept; the defaults are torchvision's for SSDLite.

    Attributes:
        least_score: Lower scores are dropped first.
        candidates: Boxes of each class that are considered at most, those of the best scores.
        overlap: IoU above which the box of the lower score is dropped, within a class.
        detections: Boxes kept in an image at most.
    """

    least_score: float = 0.001
    candidates: int = 300
    overlap: float = 0.55
    detections: int = 300


def probabilities(scores: Tensor, kind: Literal["softmax", "sigmoid"]) -> Tensor:
    """Return each class's probability (..., classes), without the background's column."""
    return (scores.softmax(dim=-1) if kind == "softmax" else scores.sigmoid())[..., 1:]


def detections(
    scores: Tensor,
    offsets: Tensor,
    anchors: Tensor,
    *,
    kind: Literal["softmax", "sigmoid"],
    keep: Suppression = Suppression(),
) -> list[FoundBoxes]:
    """Return the boxes of each image of a batch.

    Args:
        scores: (N, A, classes + 1).
        offsets: (N, A, 4).
        anchors: (A, 4).
        kind: See `SSDLiteHead.scores`.
        keep: What is kept.
    """
    boxes = decoded(offsets, anchors).clamp(0, 1)
    chances = probabilities(scores, kind)
    return [_of_image(box, chance, keep) for box, chance in zip(boxes, chances, strict=True)]


def _of_image(boxes: Tensor, chances: Tensor, keep: Suppression) -> FoundBoxes:
    top = chances.T.topk(min(keep.candidates, len(boxes)), dim=1)  # (classes, candidates)
    enough = top.values > keep.least_score
    classes = torch.arange(len(enough), device=boxes.device)[:, None].expand_as(enough)[enough]
    scores, corners = top.values[enough], boxes[top.indices[enough]]
    kept = batched_nms(corners, scores, classes, keep.overlap)[: keep.detections]
    return FoundBoxes(corners[kept], scores[kept], classes[kept])
