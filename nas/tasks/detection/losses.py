"""The loss of a detector: of its boxes, and of its class scores."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.ops import sigmoid_focal_loss

from nas.tasks.detection.matching import Matches, encoded, match

NEGATIVES = 3
"""Background anchors that count for each with an object: those of the largest loss (SSD, section 2.2).

An image without objects has as many as one with a single matched anchor. In SSD it has none, so such
images, which are added against false positives, teach nothing.
"""

ALPHA, GAMMA = 0.75, 2.0
"""Focal loss, as TensorFlow's configuration of MobileNetV3 has it."""


def detection_loss(
    scores: Tensor,
    offsets: Tensor,
    targets: Tensor,
    anchors: Tensor,
    *,
    kind: Literal["softmax", "sigmoid"],
) -> Tensor:
    """Return the loss of a batch: of boxes plus scores, per anchor with an object (SSD, eq. 1).

    It is torchvision's where every image has an object; one without counts as one anchor.

    Args:
        scores: (N, A, classes + 1); column 0 is the background.
        offsets: (N, A, 4).
        targets: (N, M, 6); see `annotations.rows`.
        anchors: (A, 4).
        kind: `softmax`: cross entropy of the anchors with an object and of three times as many without, the
            ones of largest loss. `sigmoid`: focal loss of all (arXiv 1708.02002, eq. 5).
    """
    losses, positives = image_losses(scores, offsets, targets, anchors, kind=kind)
    return losses.sum() / positives.clamp(min=1).sum()


def image_losses(
    scores: Tensor,
    offsets: Tensor,
    targets: Tensor,
    anchors: Tensor,
    *,
    kind: Literal["softmax", "sigmoid"],
) -> tuple[Tensor, Tensor]:
    """Return the summed loss of each image, (N,), and its anchors with an object, int64 (N,).

    The arguments are those of `detection_loss`.
    """
    matches = match(targets, anchors)
    wanted = _wanted_classes(targets, matches)
    scoring = _cross_entropy if kind == "softmax" else _focal
    losses = _box_losses(offsets, targets, anchors, matches) + scoring(scores, wanted, matches)
    return losses, matches.positive.sum(dim=1)


def _wanted_classes(targets: Tensor, matches: Matches) -> Tensor:
    """Return the column that each anchor should score highest, int64 (N, A)."""
    if targets.shape[1] == 0:
        return torch.zeros_like(matches.objects)
    classes = targets[:, :, 0].long().gather(1, matches.objects)
    return torch.where(matches.positive, classes + 1, torch.zeros_like(classes))


def _box_losses(offsets: Tensor, targets: Tensor, anchors: Tensor, matches: Matches) -> Tensor:
    image, anchor = matches.positive.nonzero(as_tuple=True)
    boxes = targets[image, matches.objects[image, anchor], 1:5]
    wanted = encoded(boxes, anchors[anchor])
    apart = functional.smooth_l1_loss(offsets[image, anchor], wanted, reduction="none").sum(dim=1)
    return apart.new_zeros(len(offsets)).index_add(0, image, apart)


def _cross_entropy(scores: Tensor, wanted: Tensor, matches: Matches) -> Tensor:
    losses = functional.cross_entropy(scores.flatten(0, 1), wanted.flatten(), reduction="none")
    losses = losses.view_as(wanted)
    background = ~matches.positive & ~matches.ignored
    # Positions from the largest background loss downwards.
    ranked = losses.detach().masked_fill(~background, -torch.inf)
    place = ranked.argsort(dim=1, descending=True).argsort(dim=1)
    positives = matches.positive.sum(dim=1, keepdim=True).clamp(min=1)
    hard = (place < NEGATIVES * positives) & background
    return (losses * (matches.positive | hard)).sum(dim=1)


def _focal(scores: Tensor, wanted: Tensor, matches: Matches) -> Tensor:
    one_hot = functional.one_hot(wanted, scores.shape[-1]).to(scores.dtype)
    losses: Tensor = sigmoid_focal_loss(scores, one_hot, alpha=ALPHA, gamma=GAMMA).sum(dim=-1)
    return (losses * ~matches.ignored).sum(dim=1)
