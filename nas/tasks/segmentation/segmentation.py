"""Segmentation: each pixel of an image has one class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from nas.data.masks.coding import IGNORED
from nas.data.regions import NO_CLASS, Regions
from nas.tasks.dense import Change, DenseTask
from nas.tasks.display import percent
from nas.tasks.segmentation.augmentation import change
from nas.tasks.segmentation.class_maps import AnnotatedMap, PredictedMap
from nas.tasks.segmentation.evidence import PixelCounts, PixelMeter
from nas.tasks.segmentation.logits import cross_entropy, enlarged
from nas.tasks.segmentation.postprocessing import PixelClasses
from nas.tasks.survey import Survey, images_with, survey
from nas.tasks.task import Metric, Quick, Usual
from search_spaces.heads.specs import LRASPPHead, RASPPHead
from search_spaces.heads.transforms import dilate, lraspp

if TYPE_CHECKING:
    from nas.data.images import Split
    from nas.tasks.outputs import Outputs
    from nas.tasks.task import Learning, Originals
    from search_spaces import ArchSpec


OUTPUT_STRIDE: Literal[16] = 16


class Segmentation(DenseTask):
    """The task of networks that return logits (N, classes, h, w), at a fraction of their images' size.

    Targets are masks of class indices, uint8 (N, T, T); 255 is ignored. In training T is the side of the
    images. Networks are judged by masks of one size, whatever that of their input: small masks lack what is
    hard to find.
    """

    metric = Metric("mIoU", "mean IoU", "the mean IoU over the classes in it")

    usual = Usual(
        "segment",
        "segment",
        trial_steps=60,
        final_epochs=12,
        teacher_weight=0.5,
        quick=Quick(px=96, parent_epochs=8, final_epochs=4),
    )

    def headed(self, spec: ArchSpec, *, classes: int) -> ArchSpec:
        """Return the network with its own head, or else LR-ASPP at output stride 16, as in torchvision."""
        if isinstance(spec.head, LRASPPHead | RASPPHead):
            return replace(spec, head=replace(spec.head, classes=classes))
        return lraspp(dilate(spec, OUTPUT_STRIDE), classes=classes)

    def stored_px(self, how: Learning, size_px: int) -> int:
        """Return the side at which images that are enlarged by the mean factor keep their detail."""
        return round(size_px * (how.segment.smallest + how.segment.largest) / 2)

    def strata(self, targets: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Return one group of all images: most have most classes."""
        return np.zeros(len(targets), np.int64)

    def images_with(self, targets: NDArray[np.uint8], *, classes: int) -> NDArray[np.int64]:
        """Count the images with a pixel of each class."""
        seen = [np.bincount(mask.ravel(), minlength=IGNORED + 1)[:classes] > 0 for mask in targets]
        counts: NDArray[np.int64] = np.sum(seen, axis=0, dtype=np.int64)
        return counts

    def chance(self, split: Split, *, classes: int) -> float:
        """Return the mean IoU of giving every pixel the most frequent class, at least 1/classes^2.

        A split that does not hold its masks is assumed to have as many pixels of each class.
        """
        masks: NDArray[np.uint8] | None = getattr(split, "targets", None)
        counts = np.zeros(classes, np.int64)
        for mask in () if masks is None else masks:
            counts += np.bincount(mask.ravel(), minlength=IGNORED + 1)[:classes]
        if not counts.any():
            return 1 / classes**2
        return float(counts.max() / counts.sum() / np.count_nonzero(counts))

    def relabelled(self, targets: Tensor, indices: Tensor) -> Tensor:
        """Look the class of each pixel up; ignored ones stay so."""
        lookup = torch.full((IGNORED + 1,), IGNORED, dtype=torch.uint8, device=targets.device)
        lookup[: len(indices)] = indices.to(lookup)
        return lookup[targets.long()]

    def concatenated(
        self, targets: NDArray[np.uint8], others: NDArray[np.uint8]
    ) -> NDArray[np.uint8]:
        """Return the masks of both, others at the size of the first by their nearest pixels."""
        side = targets.shape[-1]
        nearest = ((np.arange(side) + 0.5) * others.shape[-1] / side).astype(np.int64)
        return np.concatenate([targets, others[:, nearest[:, None], nearest]])

    def stand_in(self, count: int, *, px: int) -> Tensor:
        """Return the first class for every pixel."""
        return torch.zeros(count, px, px, dtype=torch.uint8)

    def change(self, how: Learning, *, size_px: int) -> Change:
        """See `segmentation.augmentation`."""
        return change(how.segment, flip=how.augment.flip, size_px=size_px)

    def loss(
        self,
        outputs: Outputs,
        targets: Tensor,
        how: Learning,
        *,
        spec: ArchSpec | None,  # noqa: ARG002
    ) -> Tensor:
        """Return the mean cross entropy of the pixels that count, smoothed; 0 if none does.

        Logits are enlarged to the size of the masks. Where several processes have a part of the batch each,
        the mean of their losses differs a little from that of the whole, by the ignored pixels of each.
        """
        assert isinstance(outputs, Tensor)
        summed, pixels = cross_entropy(outputs, targets, smoothing=how.label_smoothing)
        return summed / pixels.clamp(min=1)

    def distilled(self, outputs: Outputs, taught: Outputs, *, temperature: float) -> Tensor:
        """Return the mean cross entropy of the cells' softened outputs with the teacher's, times T^2.

        See `Classification.distilled`. A teacher whose map has another size is resized to the student's.
        """
        assert isinstance(outputs, Tensor)
        assert isinstance(taught, Tensor)
        fitting = enlarged(taught.float(), outputs.shape[-2:])
        targets = functional.softmax(fitting / temperature, dim=1)
        return functional.cross_entropy(outputs / temperature, targets) * temperature**2

    def regions(self, target: NDArray[np.uint8]) -> Regions:
        """Return the classes in a mask (H, W), each with the share of its pixels."""
        counts = np.bincount(target.ravel(), minlength=IGNORED + 1)
        found = np.flatnonzero(counts)
        ignored = found == IGNORED
        return Regions(np.where(ignored, NO_CLASS, found), counts[found] / target.size, ignored)

    def survey(self, splits: Mapping[str, Sequence[Regions]], classes: Sequence[str]) -> Survey:
        """Count the images that have each class, and the share of the pixels that it has in all of them."""
        found = survey(
            splits,
            classes,
            cell=lambda images, one: (
                f"{images_with(images, one):,}, {percent(_pixels(images, one))}%"
            ),
            caption="images that have the class, and its share of all pixels",
            whole="pixels of a class",
        )
        ignored = {split: _pixels(images, NO_CLASS) for split, images in splits.items()}
        lines = [*found.lines]
        if any(ignored.values()):
            shares = ", ".join(f"{split} {percent(share)}%" for split, share in ignored.items())
            lines.append(f"pixels that are ignored: {shares}")
        document = {
            **found.document,
            "share_of_pixels": {
                split: [_pixels(images, index) for index, _ in enumerate(classes)]
                for split, images in splits.items()
            },
            "ignored_pixels": ignored,
        }
        return Survey(found.tables, tuple(lines), document)

    def truth(self, targets: Tensor) -> list[AnnotatedMap]:
        """Return the annotated classes of each image."""
        return [AnnotatedMap(mask) for mask in targets]

    def predictions(
        self,
        outputs: Outputs,
        *,
        spec: ArchSpec | None,  # noqa: ARG002
    ) -> list[PredictedMap] | list[AnnotatedMap]:
        """Return the classes that a network sees in each image, from its outputs on the CPU."""
        assert isinstance(outputs, Tensor)
        if outputs.ndim == 3:
            return [AnnotatedMap(classes) for classes in outputs]
        return [PredictedMap(logits) for logits in outputs.float()]

    def postprocessing(self, spec: ArchSpec) -> PixelClasses:
        """Return the choice of each pixel's class, at the network's resolution."""
        return PixelClasses(spec.resolution)

    def evidence(self, state: Mapping[str, Any]) -> PixelCounts:
        """Inverse of `PixelCounts.state_dict`."""
        return PixelCounts.from_state(state)

    def meter(
        self,
        *,
        spec: ArchSpec | None,
        originals: Originals | None = None,
    ) -> PixelMeter:
        """Return an empty meter."""
        return PixelMeter(None if spec is None else spec.head.classes, originals=originals)


def _pixels(images: Sequence[Regions], class_: int) -> float:
    """Return the share of the pixels that a class has, the mean over images."""
    shares = (float(one.shares[one.classes == class_].sum()) for one in images)
    return sum(shares) / max(1, len(images))
