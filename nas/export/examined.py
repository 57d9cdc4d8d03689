"""What there is to look at after an evaluation: tables, charts, and the images that went worst.

All of it is plain data, so that a run's folder can keep it for its report.
"""

from __future__ import annotations

import base64
import io
from bisect import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import torch
from PIL import Image
from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from nas.export.models import Model
from nas.export.original_images import OriginalImages
from nas.tasks import task_of
from nas.tasks.display import Chart, Table
from nas.tasks.task import Evidence, Prediction
from search_spaces.errors import InputError, first_problem

MOST_IMAGES = 12
SHOWN_PX = 360
"""Longer side of a shown image."""

QUALITY = 80
MOST_BYTES = 900_000
"""Of all images in a page, as text: the worst come first, and what does not fit is left out."""


@dataclass(frozen=True)
class ShownImage:
    """An image with what is true of it and what the network says.

    Attributes:
        name: Its path, or another name.
        score: How well the network does on it, 0..1; see `Evidence.each`.
        truth: What is true, in words.
        found: What the network says, in words.
        pictures: JPEGs in base64: with the truth, and with what the network says; one if both look alike.
    """

    name: str
    score: float
    truth: str
    found: str
    pictures: tuple[str, ...]


@dataclass(frozen=True)
class Examined:
    """An evaluation as people look at it.

    Attributes:
        metric: Short name of the metric.
        value: The metric, 0..1.
        ci95: Its 95% interval.
        images: Number of images.
        px: Side of the network's input.
        tables: Figures by class, and others.
        charts: Curves and matrices.
        score: What the score of an image is, in words.
        worst: The images with the lowest scores, the lowest first.
        legend: Colors in which classes are drawn, as CSS names them, where the pictures do not say.
    """

    metric: str
    value: float
    ci95: tuple[float, float]
    images: int
    px: int
    tables: tuple[Table, ...]
    charts: tuple[Chart, ...]
    score: str
    worst: tuple[ShownImage, ...]
    legend: tuple[tuple[str, str], ...]

    def to_json(self) -> bytes:
        """Return it as JSON."""
        return _ADAPTER.dump_json(self)

    @classmethod
    def from_json(cls, content: bytes, *, where: str) -> Examined:
        """Read what `to_json` wrote.

        Raises:
            InputError: It is damaged.
        """
        try:
            return _ADAPTER.validate_json(content)
        except ValidationError as error:
            raise InputError(f"{where}: {first_problem(error)}: restore it from a copy") from error


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


_ADAPTER = TypeAdapter(Examined)
