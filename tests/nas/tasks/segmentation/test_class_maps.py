"""What is annotated and what is predicted is drawn and written at the size of the image."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from nas.tasks.segmentation import logits
from nas.tasks.segmentation.class_maps import PredictedMap, run_lengths
from nas.tasks.segmentation.drawing import overlaid
from nas.tasks.segmentation.segmentation import Segmentation

CLASSES = ("background", "red", "green")
MASK = torch.tensor([[0, 1, 2], [0, 255, 2]], dtype=torch.uint8)
LOGITS = torch.randn(2, 3, 4, 6, generator=torch.Generator().manual_seed(0))


def decoded(document: dict[str, list[int]]) -> np.ndarray:
    """Return the region of COCO's run lengths, bool (H, W)."""
    height, width = document["size"]
    counts = document["counts"]
    flat = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
    return flat.reshape(width, height).T


@pytest.mark.parametrize("size", [(3, 2), (9, 4), (2, 7)])
def test_annotated_classes_are_those_of_the_nearest_pixel(size: tuple[int, int]) -> None:
    (found,) = Segmentation().truth(MASK[None])
    wanted = Image.fromarray(MASK.numpy()).resize(size, Image.Resampling.NEAREST)
    assert np.array_equal(found.at(size), np.asarray(wanted))


def test_predicted_classes_are_those_of_the_evidence() -> None:
    task = Segmentation()
    masks = torch.zeros(2, 16, 24, dtype=torch.uint8)
    meter = task.meter(spec=None)
    meter.add(LOGITS, masks)
    found = [one.at((24, 16)) for one in task.predictions(LOGITS, spec=None)]
    counts = torch.stack([torch.bincount(one.flatten(), minlength=3) for one in found])
    assert np.array_equal(meter.evidence().confusion[:, 0], counts)


def test_large_maps_are_enlarged_in_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    scores = torch.randn(3, 6, 5, generator=torch.Generator().manual_seed(0))
    whole = PredictedMap(scores).at((40, 30))
    monkeypatch.setattr(logits, "AT_ONCE", 3 * 40 * 7)
    assert torch.equal(PredictedMap(scores).at((40, 30)), whole)


def test_drawing_is_of_the_image_s_size() -> None:
    pixels = torch.full((3, 16, 24), 90, dtype=torch.uint8)
    for one in (*Segmentation().predictions(LOGITS, spec=None), *Segmentation().truth(MASK[None])):
        assert torch.equal(one.drawn(pixels, CLASSES), overlaid(pixels, one.at((24, 16)), CLASSES))


def test_the_document_has_the_region_of_each_class_that_occurs() -> None:
    (found,) = Segmentation().truth(MASK[None])
    document = json.loads(json.dumps(found.document(CLASSES, size=(6, 4))))
    assert [(one["category_id"], one["category"]) for one in document] == list(enumerate(CLASSES))
    large = found.at((6, 4)).numpy()
    for one in document:
        assert np.array_equal(decoded(one["segmentation"]), large == one["category_id"])


@pytest.mark.parametrize(
    "inside",
    [
        torch.zeros(3, 2, dtype=torch.bool),
        torch.ones(3, 2, dtype=torch.bool),
        torch.rand(7, 5, generator=torch.Generator().manual_seed(1)) < 0.5,
    ],
    ids=["nothing", "all", "some"],
)
def test_run_lengths_are_reversible(inside: Tensor) -> None:
    found = run_lengths(inside)
    assert sum(found["counts"]) == inside.numel()
    assert np.array_equal(decoded(found), inside)
