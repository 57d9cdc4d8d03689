"""Decoding and non-maximum suppression inside an exported file; `decoding` does the same in torch."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor
from torchvision.ops import nms

from nas.tasks.detection.decoding import Suppression, probabilities
from nas.tasks.detection.found_boxes import FoundBoxes
from nas.tasks.detection.matching import decoded
from nas.tasks.postprocessing import Postprocessing


class DetectorPostprocessing(Postprocessing):
    """Maps scores (N, A, classes + 1) and offsets (N, A, 4) to as many boxes for each image.

    Outputs: `boxes` float32 (N, D, 4), x1, y1, x2, y2 as fractions of the image; `scores` float32 (N, D),
    the best first; `classes` int64 (N, D); and `count` int64 (N,), how many of the D are boxes. The others
    are zeros.

    Args:
        anchors: (A, 4).
        kind: See `SSDLiteHead.scores`.
        keep: What is kept; the defaults if not given.
    """

    output_names = ("boxes", "scores", "classes", "count")
    anchors: Tensor

    def __init__(
        self,
        anchors: Tensor,
        *,
        kind: Literal["softmax", "sigmoid"],
        keep: Suppression | None = None,
    ) -> None:
        super().__init__()
        self.register_buffer("anchors", anchors)
        self.kind, self.keep = kind, keep or Suppression()

    def forward(self, scores: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return boxes, scores, classes and counts."""
        keep = self.keep
        boxes = decoded(offsets, self.anchors).clamp(0, 1)
        chances = probabilities(scores, self.kind).transpose(1, 2)  # (N, classes, A)
        classes, anchors = chances.shape[1:]
        least = chances.topk(min(keep.candidates, anchors), dim=2).values[:, :, -1:]
        chances = chances * (chances >= least)
        found = _NonMaxSuppression.apply(boxes, chances, keep.overlap, keep.least_score)
        image, class_, anchor = found.unbind(1)
        kept = torch.zeros_like(chances)
        kept = kept.index_put((image, class_, anchor), torch.ones_like(anchor, dtype=kept.dtype))
        best = (chances * kept).flatten(1).topk(min(keep.detections, classes * anchors), dim=1)
        real = best.values > 0  # (N, D)
        places = (best.indices % anchors)[:, :, None].expand(-1, -1, 4)
        corners = boxes.gather(1, places) * real[:, :, None]
        return corners, best.values, best.indices // anchors * real, real.sum(dim=1)


class _NonMaxSuppression(torch.autograd.Function):
    """ONNX's operator: of each image and class, the boxes that no better one overlaps.

    Maps boxes (N, A, 4) and scores (N, classes, A) to the image, class and box of those that are kept,
    int64 (kept, 3).
    """

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ARG004
        boxes: Tensor,
        scores: Tensor,
        overlap: float,
        least_score: float,
    ) -> Tensor:
        found = [torch.empty(0, 3, dtype=torch.int64)]
        for image, class_ in torch.nonzero((scores > least_score).any(dim=2)).tolist():
            (enough,) = torch.nonzero(scores[image, class_] > least_score, as_tuple=True)
            kept = enough[nms(boxes[image, enough], scores[image, class_, enough], overlap)]
            of = torch.tensor([image, class_]).expand(len(kept), 2)
            found.append(torch.cat([of, kept[:, None]], dim=1))
        return torch.cat(found)

    @staticmethod
    def symbolic(g: Any, boxes: Any, scores: Any, overlap: float, least_score: float) -> Any:
        most = torch.tensor([torch.iinfo(torch.int64).max])
        limits = (most, torch.tensor([overlap]), torch.tensor([least_score]))
        given = [g.op("Constant", value_t=limit) for limit in limits]
        return g.op("NonMaxSuppression", boxes, scores, *given)


def unpadded(boxes: Tensor, scores: Tensor, classes: Tensor, count: Tensor) -> list[FoundBoxes]:
    """Return the boxes of each image from the outputs of `DetectorPostprocessing`."""
    return [
        FoundBoxes(boxes[index, :number], scores[index, :number], classes[index, :number].long())
        for index, number in enumerate(count.long().tolist())
    ]
