"""Detection: each image has objects, of which a network finds boxes and classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from nas.data.annotations.pictures import rarest_classes
from nas.data.annotations.rows import COLUMNS, PADDING_CLASS, padded
from nas.data.regions import Regions
from nas.tasks.dense import Change, DenseTask
from nas.tasks.detection.augmentation import change
from nas.tasks.detection.decoding import detections
from nas.tasks.detection.evidence import Detections, DetectionsMeter
from nas.tasks.detection.found_boxes import DRAWN_SCORE, FoundBoxes
from nas.tasks.detection.losses import detection_loss
from nas.tasks.detection.matching import LARGEST_LOG
from nas.tasks.detection.postprocessing import DetectorPostprocessing, unpadded
from nas.tasks.survey import Survey, by_split, images_with, survey
from nas.tasks.task import Metric, Quick, Usual
from search_spaces.heads.anchors import anchors, anchors_of_count
from search_spaces.heads.specs import SSDLiteHead
from search_spaces.heads.transforms import ssdlite

STORED = 1.5
"""Side of stored training images where they are cropped: a crop has half of the area, more or less."""

if TYPE_CHECKING:
    from nas.data.images import Split
    from nas.tasks.outputs import Outputs
    from nas.tasks.task import Learning, Originals
    from search_spaces import ArchSpec


class Detection(DenseTask):
    """The task of networks with SSDLite's head.

    Targets are objects, float32 (N, M, 6); see `nas.data.annotations.rows`.
    """

    metric = Metric(
        "AP",
        "COCO's AP (IoU 0.50 to 0.95)",
        f"the F1 score of the boxes of a score of {DRAWN_SCORE:g} or more, at an IoU of 0.5",
    )

    usual = Usual(
        "detect",
        "detect",
        trial_steps=60,
        final_epochs=None,
        teacher_weight=0.0,
        quick=Quick(px=96, parent_epochs=15, final_epochs=6),
    )

    def headed(self, spec: ArchSpec, *, classes: int) -> ArchSpec:
        """Return the network with SSDLite's head, as torchvision has it; or with its own."""
        if isinstance(spec.head, SSDLiteHead):
            return replace(spec, head=replace(spec.head, classes=classes))
        return ssdlite(spec, classes=classes)

    def stored_px(self, how: Learning, size_px: int) -> int:
        """Return the side at which random crops keep most of their detail."""
        return round(STORED * size_px) if how.detect.crop else size_px

    def strata(self, targets: NDArray[Any]) -> NDArray[Any]:
        """Return the rarest class in each image; the number of classes where there is no object."""
        return rarest_classes([rows[rows[:, 0] != PADDING_CLASS, 0] for rows in targets])

    def images_with(self, targets: NDArray[Any], *, classes: int) -> NDArray[np.int64]:
        """Count the images with an object of each class."""
        found = [
            np.unique(rows[rows[:, 0] != PADDING_CLASS, 0].astype(np.int64)) for rows in targets
        ]
        return np.bincount(np.concatenate(found), minlength=classes)

    def chance(self, split: Split, *, classes: int) -> float:  # noqa: ARG002
        """Return 0: boxes at random find nothing."""
        return 0.0

    def relabelled(self, targets: Tensor, indices: Tensor) -> Tensor:
        """Look the class of each object up."""
        changed = targets.clone()
        real = targets[:, :, 0] != PADDING_CLASS
        changed[:, :, 0][real] = indices[targets[:, :, 0][real].long()].to(targets.dtype)
        return changed

    def concatenated(
        self, targets: NDArray[np.float32], others: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Return the objects of both, (N + M, most, 6)."""
        every = [rows[rows[:, 0] != PADDING_CLASS] for part in (targets, others) for rows in part]
        return padded(every, max(targets.shape[1], others.shape[1]))

    def stand_in(self, count: int, *, px: int) -> Tensor:  # noqa: ARG002
        """Return one object in the middle of every image."""
        one = torch.tensor([0.0, 0.25, 0.25, 0.75, 0.75, 0.0])
        return one.expand(count, 1, COLUMNS).clone()

    def change(self, how: Learning, *, size_px: int) -> Change:
        """See `detection.augmentation`."""
        return change(how.detect, flip=how.augment.flip, size_px=size_px)

    def loss(
        self,
        outputs: Outputs,
        targets: Tensor,
        how: Learning,  # noqa: ARG002
        *,
        spec: ArchSpec | None,
    ) -> Tensor:
        """Return SSD's loss of scores (N, A, classes + 1) and offsets (N, A, 4)."""
        scores, offsets = outputs
        head = _head(spec)
        anchors = _anchors(spec, scores)
        return detection_loss(scores, offsets, targets, anchors, kind=head.scores)

    def distilled(self, outputs: Outputs, taught: Outputs, *, temperature: float) -> Tensor:
        """Return the loss against a teacher's scores, and its boxes where it sees an object.

        The scores' cross entropy is weighted by how little of the teacher's probability is the
        background's, at least a little, since nearly all anchors are background.
        """
        (scores, offsets), (taught_scores, taught_offsets) = outputs, taught
        wanted = functional.softmax(taught_scores.float() / temperature, dim=-1)
        losses = -(wanted * functional.log_softmax(scores / temperature, dim=-1)).sum(dim=-1)
        objects = 1 - functional.softmax(taught_scores.float(), dim=-1)[..., 0]  # (N, A)
        weights = objects + objects.mean(dim=1, keepdim=True)
        scoring = (weights * losses).sum() / weights.sum() * temperature**2
        apart = functional.smooth_l1_loss(
            offsets, taught_offsets.float().clamp(max=5 * LARGEST_LOG), reduction="none"
        )
        boxes = (objects[..., None] * apart).sum() / objects.sum()
        return scoring + boxes

    def regions(self, target: NDArray[np.float32]) -> Regions:
        """Return the objects (m, 6), each with the share of its box."""
        rows = target[target[:, 0] != PADDING_CLASS].astype(np.float64)
        shares = (rows[:, 3] - rows[:, 1]) * (rows[:, 4] - rows[:, 2])
        return Regions(rows[:, 0].astype(np.int64), shares, rows[:, 5] != 0)

    def survey(self, splits: Mapping[str, Sequence[Regions]], classes: Sequence[str]) -> Survey:
        """Count the objects of each class, and the images that have them."""
        found = survey(
            splits,
            classes,
            cell=lambda images, one: f"{_objects(images, one):,} in {images_with(images, one):,}",
            caption="objects in images",
            whole="objects",
        )
        ignored = {
            split: sum(int(one.ignored.sum()) for one in part) for split, part in splits.items()
        }
        lines = [*found.lines]
        if any(ignored.values()):
            lines.append(
                f"{by_split(ignored, 'object')} marked as difficult or as a crowd, which are ignored"
            )
        document = {
            **found.document,
            "objects": {
                split: [_objects(images, index) for index, _ in enumerate(classes)]
                for split, images in splits.items()
            },
            "ignored_objects": ignored,
        }
        return Survey(found.tables, tuple(lines), document)

    def truth(self, targets: Tensor) -> list[FoundBoxes]:
        """Return the annotated boxes of each image."""
        real = [rows[rows[:, 0] != PADDING_CLASS] for rows in targets]
        return [FoundBoxes(rows[:, 1:5], None, rows[:, 0].long()) for rows in real]

    def predictions(self, outputs: Outputs, *, spec: ArchSpec | None) -> list[FoundBoxes]:
        """Return the boxes that a detector finds in each image."""
        if len(outputs) == len(DetectorPostprocessing.output_names):
            return unpadded(*outputs)
        scores, offsets = outputs
        anchors = _anchors(spec, scores)
        return detections(scores.float(), offsets.float(), anchors, kind=_head(spec).scores)

    def postprocessing(self, spec: ArchSpec) -> DetectorPostprocessing:
        """Return decoding and non-maximum suppression at the network's resolution."""
        return DetectorPostprocessing(torch.tensor(anchors(spec)), kind=_head(spec).scores)

    def evidence(self, state: Mapping[str, Any]) -> Detections:
        """Inverse of `Detections.state_dict`."""
        return Detections.from_state(state)

    def meter(
        self, *, spec: ArchSpec | None, originals: Originals | None = None
    ) -> DetectionsMeter:
        """Return an empty meter; with originals it also tells small objects from large ones."""
        head = _head(spec)
        return DetectionsMeter(
            head.classes,
            kind=head.scores,
            anchors=lambda scores: _anchors(spec, scores),
            originals=originals,
        )


def _objects(images: Sequence[Regions], class_: int) -> int:
    """Return the number of objects of a class that count."""
    return sum(int((one.counted() == class_).sum()) for one in images)


def _head(spec: ArchSpec | None) -> SSDLiteHead:
    assert spec is not None
    assert isinstance(spec.head, SSDLiteHead)
    return spec.head


def _anchors(spec: ArchSpec | None, scores: Tensor) -> Tensor:
    """Return the anchors (A, 4) of scores (N, A, classes + 1), on their device."""
    assert spec is not None
    return _tensor(spec, scores.shape[1]).to(scores.device)


@lru_cache(maxsize=64)
def _tensor(spec: ArchSpec, count: int) -> Tensor:
    return torch.tensor(anchors_of_count(spec, count))
