"""Evaluate a network on images as their files have them, and show the images that went worst."""

from __future__ import annotations

import base64
import io
from bisect import bisect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Self

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from nas.checkpoints.class_file import ClassFile
from nas.checkpoints.class_map import class_map
from nas.checkpoints.class_names import Notify
from nas.checkpoints.scoring import relabelled
from nas.data.images import Dataset
from nas.data.source import ImageSource
from nas.export.evaluation.answers import evidence_of
from nas.export.evaluation.examined import Examined, ShownImage
from nas.export.evaluation.original_images import OriginalImages
from nas.export.models import Model
from nas.tasks import task_of
from nas.tasks.task import Evidence, Prediction

MOST_IMAGES = 12
SHOWN_PX = 360
"""Longer side of a shown image."""

QUALITY = 80
MOST_BYTES = 900_000
"""Of all images in a page, as text: the worst come first, and what does not fit is left out."""


@dataclass(frozen=True)
class Examination:
    """A network, and images of its classes to evaluate it on.

    Attributes:
        model: The network.
        data: The images at its resolution, with its classes.
        originals: The images of each split that it is evaluated on, as their files have them.
    """

    model: Model
    data: Dataset
    originals: Mapping[str, OriginalImages]

    @classmethod
    def of(
        cls,
        model: Model,
        source: ImageSource,
        data: Dataset,
        *,
        splits: Sequence[str] = ("test",),
        classes: ClassFile | None = None,
        notify: Notify = lambda _: None,
    ) -> Self:
        """Match the classes of images to a network's.

        Args:
            model: The network.
            source: The images.
            data: The same images at the network's resolution.
            splits: Those to evaluate on.
            classes: Contents of the file given by `--classes`.
            notify: Is notified of inexact matches.

        Raises:
            InputError: A class of the data is unknown to the network or ambiguous.
        """
        usage = model.feed.usage
        known = relabelled(data, usage, classes=classes, notify=notify)
        indices = np.array(class_map(source.classes, usage, classes).indices(), np.int64)
        originals = {
            name: OriginalImages(source.pictures[name], source.preparation, source.task, indices)
            for name in splits
        }
        return cls(model, known, originals)

    def evidence(self, progress: Callable[[str], None] = lambda _: None) -> Evidence:
        """Run the network on all images.

        Args:
            progress: Called with what is done, such as `64 of 500 test images`.

        Raises:
            UnreadableError: An image or its annotation cannot be read any more.
        """

        def of_split(name: str, own: OriginalImages) -> Evidence:
            return evidence_of(
                self.model,
                getattr(self.data, name),
                task=self.data.task,
                originals=own,
                progress=lambda done: progress(f"{done} of {len(own)} {name} images"),
            )

        first, *others = (of_split(name, own) for name, own in self.originals.items())
        return first.joined(others)

    def examined(self, evidence: Evidence) -> Examined:
        """Put together what there is to look at; see the function `examined`."""
        return examined(self.model, evidence, list(self.originals.values()), self.data.classes)


def examined(
    model: Model, evidence: Evidence, originals: Sequence[OriginalImages], classes: Sequence[str]
) -> Examined:
    """Put together what there is to look at after an evaluation.

    Args:
        model: The network.
        evidence: What it did on all images.
        originals: The images, in the same order, in one part or more.
        classes: Names of the classes.

    Raises:
        UnreadableError: An image cannot be read any more.
    """
    metric = task_of(originals[0].task).metric
    shown = _Shown(model, originals, classes)
    worst = shown.worst(evidence.each().tolist())
    return Examined(
        metric.name,
        evidence.score().accuracy,
        evidence.interval(),
        len(evidence),
        model.feed.size_px,
        tuple(evidence.tables(classes)),
        tuple(evidence.charts(classes)),
        metric.of_image,
        tuple(worst),
        tuple((name, f"rgb{color}") for name, color in sorted(shown.colors.items())),
    )


class _Shown:
    """Shows single images of an evaluation, and collects the colors that are drawn."""

    def __init__(
        self, model: Model, originals: Sequence[OriginalImages], classes: Sequence[str]
    ) -> None:
        self._model, self._originals, self._classes = model, originals, classes
        self._ends = list(accumulate(map(len, originals)))
        self._task = task_of(originals[0].task)
        self.colors: dict[str, tuple[int, int, int]] = {}

    def worst(self, scores: Sequence[float]) -> list[ShownImage]:
        """Return the images with the lowest scores, as many as a page holds; perfect ones are left out."""
        order = np.argsort(scores, kind="stable")[:MOST_IMAGES].tolist()
        shown: list[ShownImage] = []
        size = 0
        for index in order:
            if scores[index] >= 1:
                break
            one = self._image(index, scores[index])
            size += sum(map(len, one.pictures))
            if size > MOST_BYTES:
                break
            shown.append(one)
        return shown

    def _image(self, index: int, score: float) -> ShownImage:
        part = bisect(self._ends, index)
        own, place = self._originals[part], index - (self._ends[part - 1] if part else 0)
        feed = self._model.feed
        outputs = self._model.tensors(own.square(place, feed.size_px)[None])
        (truth,) = self._task.truth(own.target(place))
        (found,) = self._task.predictions(outputs, spec=feed.spec)
        pixels = own.whole(place, SHOWN_PX)
        drawn = [self._drawn(one, pixels) for one in (truth, found)]
        if torch.equal(*drawn):
            drawn = drawn[:1]
        words = truth.said(self._classes), found.said(self._classes)
        return ShownImage(own.name(place), round(score, 4), *words, tuple(map(_jpeg, drawn)))

    def _drawn(self, prediction: Prediction, pixels: Tensor) -> Tensor:
        height, width = pixels.shape[-2:]
        self.colors |= prediction.colors(self._classes, size=(width, height))
        return prediction.drawn(pixels, self._classes)


def _jpeg(pixels: Tensor) -> str:
    """Return an image (3, H, W) as JPEG in base64."""
    content = io.BytesIO()
    image = Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy())
    image.save(content, format="JPEG", quality=QUALITY)
    return base64.b64encode(content.getvalue()).decode()
