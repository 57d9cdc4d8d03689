"""SSD's crop has torchvision's distribution, and what it promises of each crop."""

import numpy as np
import pytest
import torch
from torchvision import tv_tensors
from torchvision.ops import box_iou
from torchvision.transforms import v2

from nas.tasks.detection.iou_crop import IoUCrop

BOXES = torch.tensor([[10.0, 12.0, 40.0, 60.0], [50.0, 20.0, 90.0, 44.0], [70.0, 70.0, 76.0, 79.0]])
SIZE = (80, 100)


def inputs(boxes=BOXES):
    image = tv_tensors.Image(torch.zeros(3, *SIZE, dtype=torch.uint8))
    return [image, tv_tensors.BoundingBoxes(boxes, format="XYXY", canvas_size=SIZE)]


def drawn(crop, count):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return [crop.make_params(inputs()) for _ in range(count)]


def test_each_crop_shows_the_center_of_a_box_and_enough_of_it():
    crop = IoUCrop(sampler_options=[0.3])
    for found in drawn(crop, 100):
        kept = found["is_within_crop_area"]
        corners = [
            found["left"],
            found["top"],
            found["left"] + found["width"],
            found["top"] + found["height"],
        ]
        assert 0.5 <= found["width"] / found["height"] <= 2
        assert corners[2] <= SIZE[1]
        assert corners[3] <= SIZE[0]
        assert kept.any()
        assert box_iou(BOXES[kept], torch.tensor([corners]).float()).max() >= 0.3 - 1e-6


def test_crops_have_torchvisions_distribution():
    figures = []
    for crop in (IoUCrop(), v2.RandomIoUCrop()):
        found = drawn(crop, 500)
        cropped = [one for one in found if one]
        areas = [one["width"] * one["height"] / (SIZE[0] * SIZE[1]) for one in cropped]
        kept = [int(one["is_within_crop_area"].sum()) for one in cropped]
        figures.append((len(cropped) / len(found), np.mean(areas), np.std(areas), np.mean(kept)))
    # About four standard errors of each.
    for ours, theirs, tolerance in zip(*figures, (0.1, 0.05, 0.04, 0.2), strict=True):
        assert ours == pytest.approx(theirs, abs=tolerance)


def test_an_image_without_boxes_stays_whole():
    assert IoUCrop().make_params(inputs(torch.zeros(0, 4))) == {}
