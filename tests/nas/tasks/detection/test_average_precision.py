"""COCO's AP beside pycocotools, on random boxes."""

from __future__ import annotations

import contextlib
import io
import math
from dataclasses import astuple

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from nas.tasks.detection.average_precision import Evaluation
from nas.tasks.detection.judged import JudgedImage

CLASSES = 4


def random_images(seed: int, count: int = 12) -> list[JudgedImage]:
    """Return images whose detections are objects moved a little, some of another class, and others."""
    rng = np.random.default_rng(seed)
    images = []
    for _ in range(count):
        size = tuple(rng.integers(100, 400, 2).tolist())
        objects = int(rng.integers(0, 6))
        low = rng.random((objects, 2)) * 0.7
        truth = np.zeros((objects, 6), np.float32)
        truth[:, 0] = rng.integers(0, CLASSES - 1, objects)  # the last class has no objects
        truth[:, 1:3], truth[:, 3:5] = low, low + 0.03 + rng.random((objects, 2)) * 0.27
        truth[:, 5] = rng.random(objects) < 0.15
        near = truth[rng.random(objects) < 0.8]
        boxes = near[:, 1:5] + rng.normal(0, 0.015, (len(near), 4))
        low = rng.random((3, 2)) * 0.7
        boxes = np.concatenate([boxes, np.concatenate([low, low + 0.2], axis=1)])
        found = np.zeros((len(boxes), 6), np.float32)
        found[:, 0] = rng.integers(0, CLASSES, len(boxes))
        found[: len(near), 0] = np.where(rng.random(len(near)) < 0.8, near[:, 0], 0)
        found[:, 1] = np.round(rng.random(len(boxes)), 2)  # with ties
        found[:, 2:] = boxes
        images.append(JudgedImage(truth, found, size))
    return images


def by_pycocotools(images: list[JudgedImage]) -> tuple[COCOeval, np.ndarray]:
    truth, found = COCO(), []
    truth.dataset = {
        "info": {},
        "images": [
            {"id": n, "width": i.size[0], "height": i.size[1]} for n, i in enumerate(images)
        ],
        "categories": [{"id": n, "name": str(n)} for n in range(CLASSES)],
        "annotations": [],
    }
    for number, image in enumerate(images):
        width, height = image.size
        for row in image.truth.astype(float):
            x, y, w, h = row[1] * width, row[2] * height, *((row[3:5] - row[1:3]) * image.size)
            truth.dataset["annotations"].append(
                {
                    "id": len(truth.dataset["annotations"]) + 1,
                    "image_id": number,
                    "category_id": int(row[0]),
                    "bbox": [x, y, w, h],
                    "area": w * h,
                    "iscrowd": int(row[5]),
                }
            )
        for row in image.found.astype(float):
            x, y, w, h = row[2] * width, row[3] * height, *((row[4:6] - row[2:4]) * image.size)
            box = {"image_id": number, "category_id": int(row[0]), "score": row[1]}
            found.append(box | {"bbox": [x, y, w, h]})
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(found), "bbox")
        evaluation.evaluate(), evaluation.accumulate(), evaluation.summarize()
    return evaluation, evaluation.stats


@pytest.mark.parametrize("seed", range(5))
def test_every_figure_is_pycocotools_s(seed):
    images = random_images(seed)
    evaluation, stats = by_pycocotools(images)
    ours = Evaluation(images, CLASSES).average_precision()
    figures = [ours.ap, ours.ap50, ours.ap75, *ours.ap_sizes, *ours.ar, *ours.ar_sizes]
    for got, expected in zip(figures, stats, strict=True):
        assert got == pytest.approx(expected, abs=1e-9) or (math.isnan(got) and expected == -1)
    precision = evaluation.eval["precision"][:, :, :, 0, 2]
    for one in range(CLASSES):
        known = precision[:, :, one][precision[:, :, one] > -1]
        if known.size:
            assert ours.by_class[one] == pytest.approx(known.mean(), abs=1e-9)
            np.testing.assert_allclose(ours.curves[one], precision[0, :, one], atol=1e-9)
            recall = evaluation.eval["recall"][:, one, 0, 2]
            assert ours.by_class_recall[one] == pytest.approx(recall.mean(), abs=1e-9)
        else:
            assert math.isnan(ours.by_class[one])


def test_a_resample_is_the_evaluation_of_these_images():
    images = random_images(7)
    evaluation = Evaluation(images, CLASSES)
    whole = evaluation.average_precision()
    chosen = np.array([3, 3, 0, 9, 11, 1, 1, 1])
    resampled = evaluation.average_precision(chosen)
    anew = Evaluation([images[index] for index in chosen], CLASSES).average_precision()
    np.testing.assert_allclose(resampled.by_class, anew.by_class)
    assert resampled.ap == pytest.approx(anew.ap)
    again = evaluation.average_precision()
    np.testing.assert_equal(astuple(again), astuple(whole))


def test_nothing_found_is_zero_and_all_found_is_one():
    images = random_images(1)
    nothing = [JudgedImage(i.truth, np.zeros((0, 6), np.float32), i.size) for i in images]
    assert Evaluation(nothing, CLASSES).average_precision().ap == 0
    truth = [i.truth[i.truth[:, 5] == 0] for i in images]
    exact = [
        JudgedImage(t, np.insert(t[:, :5], 1, 0.9, axis=1).astype(np.float32), i.size)
        for t, i in zip(truth, images, strict=True)
    ]
    assert Evaluation(exact, CLASSES).average_precision().ap == pytest.approx(1)


def test_images_without_objects_have_no_ap():
    image = JudgedImage(np.zeros((0, 6), np.float32), np.zeros((0, 6), np.float32), (10, 10))
    assert math.isnan(Evaluation([image], CLASSES).average_precision().ap)
