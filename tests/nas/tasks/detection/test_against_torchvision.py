"""Anchors, matching, loss and decoding beside torchvision's SSD."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torchvision.models.detection import ssdlite320_mobilenet_v3_large
from torchvision.models.detection._utils import BoxCoder, SSDMatcher
from torchvision.models.detection.anchor_utils import DefaultBoxGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import box_iou

from nas.data.annotations.rows import padded
from nas.tasks.detection.decoding import detections
from nas.tasks.detection.losses import detection_loss
from nas.tasks.detection.matching import corners, decoded, encoded, match
from search_spaces import REFERENCES
from search_spaces.heads.anchors import anchors, map_sides
from search_spaces.heads.transforms import ssdlite

PX = 320
SPEC = ssdlite(REFERENCES["mobilenet_v3_large"](resolution=PX), classes=7)
ANCHORS = torch.tensor(anchors(SPEC))


def random_objects(generator: torch.Generator, *, most: int = 6) -> Tensor:
    """Return up to `most` objects (m, 6) of seven classes."""
    count = int(torch.randint(0, most + 1, (), generator=generator))
    first = torch.rand(count, 2, generator=generator) * 0.7
    size = 0.03 + torch.rand(count, 2, generator=generator) * (0.97 - first)
    classes = torch.randint(0, 7, (count, 1), generator=generator)
    return torch.cat([classes, first, first + size, torch.zeros(count, 1)], dim=1)


def batch(seed: int, images: int = 8) -> tuple[Tensor, list[Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    objects = [random_objects(generator) for _ in range(images)]
    objects[0] = objects[0][:0]  # an image without objects
    return torch.from_numpy(padded([one.numpy() for one in objects])), objects


def outputs(seed: int, images: int = 8) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(100 + seed)
    scores = torch.randn(images, len(ANCHORS), 8, generator=generator)
    return scores, torch.randn(images, len(ANCHORS), 4, generator=generator)


@pytest.mark.parametrize("px", [320, 256, 96])
def test_anchors_are_torchvision_s(px):
    spec = ssdlite(REFERENCES["mobilenet_v3_large"](resolution=px), classes=7)
    generator = DefaultBoxGenerator([[2, 3] for _ in range(6)], min_ratio=0.2, max_ratio=0.95)
    maps = [torch.zeros(1, 1, side, side) for side in map_sides(spec)]
    images = ImageList(torch.zeros(1, 3, px, px), [(px, px)])
    (theirs,) = generator(images, maps)
    torch.testing.assert_close(corners(torch.tensor(anchors(spec))) * px, theirs, atol=1e-3, rtol=0)


@pytest.mark.parametrize("seed", range(5))
def test_matches_are_torchvision_s(seed):
    targets, objects = batch(seed)
    matches = match(targets, ANCHORS)
    matcher = SSDMatcher(0.5)
    for index, rows in enumerate(objects):
        if len(rows) == 0:
            assert not matches.positive[index].any()
            continue
        theirs = matcher(box_iou(rows[:, 1:5], corners(ANCHORS)))
        assert torch.equal(matches.positive[index], theirs >= 0)
        assert torch.equal(matches.objects[index][theirs >= 0], theirs[theirs >= 0])


def test_two_objects_with_one_best_anchor():
    targets = torch.tensor([[[2, 0.4, 0.4, 0.42, 0.42, 0], [5, 0.4, 0.4, 0.421, 0.42, 0]]])
    matches = match(targets, ANCHORS)
    assert matches.positive.sum() == 1
    assert matches.objects[matches.positive].tolist() == [1]


def test_boxes_are_encoded_as_by_torchvision():
    coder = BoxCoder(weights=(10.0, 10.0, 5.0, 5.0))
    generator = torch.Generator().manual_seed(0)
    low = torch.rand(len(ANCHORS), 2, generator=generator) * 0.8
    boxes = torch.cat([low, low + 0.05 + 0.1 * torch.rand(low.shape, generator=generator)], dim=1)
    theirs = coder.encode_single(boxes, corners(ANCHORS))
    torch.testing.assert_close(encoded(boxes, ANCHORS), theirs, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(decoded(encoded(boxes, ANCHORS), ANCHORS), boxes, atol=1e-5, rtol=0)
    offsets = torch.randn(len(ANCHORS), 4, generator=generator) * 20  # also beyond the bound
    theirs = coder.decode_single(offsets, corners(ANCHORS))
    torch.testing.assert_close(decoded(offsets, ANCHORS), theirs, atol=1e-4, rtol=1e-4)


@pytest.fixture(scope="module")
def ssd():
    return ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=8)


@pytest.mark.parametrize("seed", range(3))
def test_the_loss_of_images_with_objects_is_torchvision_s(ssd, seed):
    targets, objects = batch(seed)
    some = [index for index, one in enumerate(objects) if len(one)]
    targets, objects = targets[some], [objects[index] for index in some]
    scores, offsets = (one[some].requires_grad_() for one in outputs(seed))
    boxes = corners(ANCHORS)
    as_theirs = [{"boxes": one[:, 1:5], "labels": one[:, 0].long() + 1} for one in objects]
    matched = [ssd.proposal_matcher(box_iou(one[:, 1:5], boxes)) for one in objects]
    head = {"bbox_regression": offsets, "cls_logits": scores}
    expected = sum(ssd.compute_loss(as_theirs, head, [boxes] * len(objects), matched).values())
    ours = detection_loss(scores, offsets, targets, ANCHORS, kind="softmax")
    torch.testing.assert_close(ours, expected, atol=1e-5, rtol=1e-4)
    for got, want in zip(
        torch.autograd.grad(ours, (scores, offsets)),
        torch.autograd.grad(expected, (scores, offsets)),
        strict=True,
    ):
        torch.testing.assert_close(got, want, atol=1e-6, rtol=1e-3)


@pytest.mark.parametrize("seed", range(3))
def test_detections_are_torchvision_s(ssd, seed):
    scores, offsets = outputs(seed, images=2)
    scores = scores * 3
    head = {"bbox_regression": offsets, "cls_logits": scores}
    boxes = corners(ANCHORS)
    theirs = ssd.postprocess_detections(head, [boxes * PX] * 2, [(PX, PX)] * 2)
    for ours, their in zip(
        detections(scores, offsets, ANCHORS, kind="softmax"), theirs, strict=True
    ):
        torch.testing.assert_close(ours.scores, their["scores"])
        assert torch.equal(ours.classes + 1, their["labels"])
        torch.testing.assert_close(ours.corners * PX, their["boxes"], atol=1e-2, rtol=0)


def test_ignored_objects_are_neither_objects_nor_background():
    targets = torch.tensor([[[1, 0.1, 0.1, 0.6, 0.6, 1.0], [2, 0.7, 0.7, 0.95, 0.95, 0.0]]])
    scores, offsets = outputs(0, images=1)
    matches = match(targets, ANCHORS)
    assert matches.ignored.sum() > 50
    assert not (matches.ignored & matches.positive).any()
    assert set(matches.objects[matches.positive].tolist()) == {1}
    loss = detection_loss(scores, offsets, targets, ANCHORS, kind="softmax")
    changed = scores.clone()
    changed[matches.ignored] = 50 * torch.randn(int(matches.ignored.sum()), 8)
    again = detection_loss(changed, offsets, targets, ANCHORS, kind="softmax")
    torch.testing.assert_close(again, loss)
    focal = detection_loss(scores, offsets, targets, ANCHORS, kind="sigmoid")
    torch.testing.assert_close(
        detection_loss(changed, offsets, targets, ANCHORS, kind="sigmoid"), focal
    )


def test_focal_loss_of_one_anchor_by_hand():
    anchor = torch.tensor([[0.5, 0.5, 0.2, 0.2]])
    targets = torch.tensor([[[0, 0.4, 0.4, 0.6, 0.6, 0.0]]])
    scores = torch.tensor([[[-2.0, 0.5]]])  # background, class 0
    p = scores.sigmoid()[0, 0]
    expected = -0.75 * (1 - p[1]) ** 2 * p[1].log() - 0.25 * p[0] ** 2 * (1 - p[0]).log()
    loss = detection_loss(scores, torch.zeros(1, 1, 4), targets, anchor, kind="sigmoid")
    torch.testing.assert_close(loss, expected, atol=1e-6, rtol=1e-5)


def test_images_without_any_object_have_a_loss():
    targets = torch.zeros(2, 0, 6)
    scores, offsets = outputs(0, images=2)
    assert detection_loss(scores, offsets, targets, ANCHORS, kind="sigmoid") > 0
    scores.requires_grad_()
    loss = detection_loss(scores, offsets, targets, ANCHORS, kind="softmax")
    of_background = -scores.log_softmax(dim=-1)[..., 0]  # (2, A)
    hardest = of_background.topk(3, dim=1)
    torch.testing.assert_close(loss, hardest.values.sum() / 2)
    (gradient,) = torch.autograd.grad(loss, scores)
    assert (gradient != 0).any(dim=-1).sum(dim=1).tolist() == [3, 3]
