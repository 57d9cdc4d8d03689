"""Which anchor is responsible for which object, and how boxes are written relative to anchors.

Liu et al., SSD (arXiv 1512.02325, section 2.2, "Matching strategy").
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

MATCHED_IOU = 0.5
VARIANCES = (10.0, 10.0, 5.0, 5.0)
"""Factors of the encoded center and size, so that their spread is about 1."""

AT_ONCE = 2**22
"""Pairs of an object and an anchor that are compared at once: a few hundred MB."""

LARGEST_LOG = math.log(1000 / 16)
"""Bound of a decoded log side, against overflow."""


class Matches(NamedTuple):
    """The anchors of a batch with the objects that they stand for.

    Attributes:
        objects: int64 (N, A): the object's row in the targets; 0 where there is none.
        positive: bool (N, A): whether the anchor has an object.
        ignored: bool (N, A): whether the anchor is neither positive nor background, since it lies on an
            object that counts for neither.
    """

    objects: Tensor
    positive: Tensor
    ignored: Tensor


def corners(centered: Tensor) -> Tensor:
    """Turn (center x, center y, width, height) into (x1, y1, x2, y2), in the last dimension."""
    center, half = centered[..., :2], centered[..., 2:] / 2
    return torch.cat([center - half, center + half], dim=-1)


def match(targets: Tensor, anchors: Tensor) -> Matches:
    """Assign objects to anchors.

    An anchor takes the object with the largest IoU if that is at least 0.5. Besides, the best anchor of
    each object takes it, whatever the IoU; of several such objects the last.

    Args:
        targets: (N, M, 6); see `annotations.rows`.
        anchors: (A, 4), (center x, center y, width, height).
    """
    pairs = targets.shape[1] * len(anchors)
    count = max(1, AT_ONCE // max(1, pairs))
    starts = range(0, max(1, len(targets)), count)
    parts = [_matched(targets[start : start + count], anchors) for start in starts]
    return parts[0] if len(parts) == 1 else Matches(*map(torch.cat, zip(*parts, strict=True)))


def _matched(targets: Tensor, anchors: Tensor) -> Matches:
    boxes = corners(anchors)
    shape = (len(targets), len(anchors))
    if targets.shape[1] == 0:
        none = torch.zeros(shape, dtype=torch.bool, device=targets.device)
        return Matches(none.long(), none, none)
    real = (targets[:, :, 0] >= 0) & (targets[:, :, 5] == 0)  # (N, M)
    overlap, inside = _overlaps(targets[:, :, 1:5], boxes)
    iou = overlap.masked_fill(~real[:, :, None], -1.0)  # (N, M, A)
    best, objects = iou.max(dim=1)
    positive = best >= MATCHED_IOU
    anchor_of = iou.argmax(dim=2)  # (N, M)
    # One object after the other, so that with one best anchor for several the last has it on any device.
    for index in range(targets.shape[1]):
        wanted = anchor_of[:, index : index + 1]
        has = real[:, index : index + 1]
        positive.scatter_(1, wanted, positive.gather(1, wanted) | has)
        kept = objects.gather(1, wanted)
        objects.scatter_(1, wanted, torch.where(has, torch.full_like(kept, index), kept))
    skipped = (targets[:, :, 0] >= 0) & (targets[:, :, 5] != 0)
    on_ignored = (inside >= MATCHED_IOU) & skipped[:, :, None]
    return Matches(objects, positive, on_ignored.any(dim=1) & ~positive)


def _overlaps(objects: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
    """Return IoU and the fraction of each box inside each object, (N, M, A) both."""
    low = torch.maximum(objects[:, :, None, :2], boxes[:, :2])
    high = torch.minimum(objects[:, :, None, 2:], boxes[:, 2:])
    common = (high - low).clamp(min=0).prod(dim=-1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(dim=-1)
    union = (objects[:, :, 2:] - objects[:, :, :2]).prod(dim=-1)[:, :, None] + areas - common
    return common / union.clamp(min=1e-12), common / areas.clamp(min=1e-12)


def encoded(boxes: Tensor, anchors: Tensor) -> Tensor:
    """Return boxes (..., 4) (x1, y1, x2, y2) relative to anchors (..., 4), as a detector predicts them."""
    size = boxes[..., 2:] - boxes[..., :2]
    center = boxes[..., :2] + size / 2
    shift = (center - anchors[..., :2]) / anchors[..., 2:]
    growth = (size / anchors[..., 2:]).log()
    return torch.cat([shift, growth], dim=-1) * shift.new_tensor(VARIANCES)


def decoded(offsets: Tensor, anchors: Tensor) -> Tensor:
    """Return the boxes (..., 4) (x1, y1, x2, y2) of predicted offsets; the inverse of `encoded`."""
    relative = offsets / offsets.new_tensor(VARIANCES)
    center = relative[..., :2] * anchors[..., 2:] + anchors[..., :2]
    size = relative[..., 2:].clamp(max=LARGEST_LOG).exp() * anchors[..., 2:]
    return corners(torch.cat([center, size], dim=-1))
