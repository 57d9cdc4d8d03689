"""Segmentation keeps the contract of a task, and its parts do what their definitions say."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from nas.data.images import ArraySplit, Dataset
from nas.data.share import Share
from nas.tasks import task_of
from nas.tasks.conformance import check_task
from nas.tasks.segmentation.augmentation import GRAY
from nas.tasks.segmentation.segmentation import Segmentation
from nas.tasks.settings import Augment, SegmentSettings
from nas.training.evaluate import evidence
from nas.training.recipe import Recipe
from nas.training.train import train
from tests.nas.drawn_masks import masked_data, masked_scenes

PX = 32
STILL = SegmentSettings(smallest=1, largest=1, distort=0)


def small_network(classes: int = 3) -> nn.Module:
    """Two convolutions, whose map has a quarter of the image's side."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 12, 5, stride=2, padding=2),
        nn.BatchNorm2d(12),
        nn.ReLU(),
        nn.Conv2d(12, classes, 3, stride=2, padding=1),
    )


@pytest.fixture(scope="module")
def data() -> Dataset:
    return masked_data(PX)


@pytest.mark.parametrize(
    "settings",
    [SegmentSettings(), SegmentSettings(smallest=0.75, largest=1.5, distort=0), STILL],
    ids=["default", "scale", "still"],
)
def test_segmentation_keeps_the_contract(data: Dataset, settings: SegmentSettings) -> None:
    how = Recipe(segment=settings, label_smoothing=0.1)
    check_task(task_of("segment"), data, small_network(), how)


def augmented(
    images: Tensor, masks: Tensor, how: Recipe, *, seed: int = 0, **options: object
) -> tuple[Tensor, Tensor]:
    wanted = {"size_px": None, "share": Share()} | options
    return Segmentation().augmented(
        images, masks, how, generator=torch.Generator().manual_seed(seed), **wanted
    )


def marked(count: int = 12, px: int = 72) -> tuple[Tensor, Tensor]:
    """Images whose brightness is 20 times the class of their mask."""
    masks = torch.zeros(count, px, px, dtype=torch.uint8)
    masks[:, 12:45, 18:60] = 3
    masks[:, 30:, :24] = 7
    return (20 * masks)[:, None].expand(-1, 3, -1, -1).contiguous(), masks


def test_a_mask_follows_its_image() -> None:
    images, masks = marked()
    how = Recipe(segment=SegmentSettings(distort=0))
    pixels, changed = augmented(images, masks, how)
    border = changed == 255
    assert border.any()
    assert bool((pixels[:, 0][border] == GRAY).all())
    # Bilinear edges lie between two classes; all else is that of its class.
    apart = (pixels[:, 0].int() - 20 * changed.int()).abs()[~border]
    assert (apart <= 1).float().mean() > 0.85
    assert not torch.equal(changed[0], changed[1])


def test_without_settings_nothing_changes() -> None:
    images, masks = marked()
    how = Recipe(segment=STILL, augment=Augment(flip=False))
    pixels, changed = augmented(images, masks, how)
    assert torch.equal(pixels, images)
    assert torch.equal(changed, masks)


def test_half_of_the_images_are_mirrored() -> None:
    images, masks = marked(64)
    pixels, changed = augmented(images, masks, Recipe(segment=STILL))
    mirrored = [torch.equal(one, masks[0].flip(-1)) for one in changed]
    assert 16 < sum(mirrored) < 48
    for turned, image in zip(mirrored, pixels, strict=True):
        assert torch.equal(image, images[0].flip(-1) if turned else images[0])


def test_scales_are_those_of_the_settings() -> None:
    images = torch.zeros(40, 3, 64, 64, dtype=torch.uint8)
    masks = torch.zeros(40, 64, 64, dtype=torch.uint8)
    how = Recipe(segment=SegmentSettings(smallest=0.5, largest=1, distort=0))
    _, changed = augmented(images, masks, how, size_px=32)
    sides = (changed == 0).flatten(1).sum(dim=1).float().sqrt()
    assert changed.shape == (40, 32, 32)
    assert 16 <= sides.min() < 19
    assert 29 < sides.max() <= 32


def test_an_image_is_changed_alike_whatever_the_number_of_processes() -> None:
    images, masks = marked(9)
    how = Recipe()
    whole = augmented(images, masks, how)
    for world in (3, 9):
        parts = []
        for rank in range(world):
            share = Share(rank, world)
            mine = share.part(9)
            parts.append(augmented(images[mine], masks[mine], how, share=share))
        for joined, wanted in zip(zip(*parts, strict=True), whole, strict=True):
            assert torch.equal(torch.cat(joined), wanted)


def logits_and_masks() -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(0)
    masks = torch.randint(3, (4, 16, 16), generator=draw, dtype=torch.uint8)
    masks[0, :3] = 255
    return torch.randn(4, 3, 4, 4, generator=draw), masks


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_is_torchs_cross_entropy_of_enlarged_logits(smoothing: float) -> None:
    logits, masks = logits_and_masks()
    logits.requires_grad_()
    found = Segmentation().loss(logits, masks, Recipe(label_smoothing=smoothing), spec=None)
    full = functional.interpolate(logits, size=(16, 16), mode="bilinear", align_corners=False)
    wanted = functional.cross_entropy(
        full, masks.long(), ignore_index=255, label_smoothing=smoothing
    )
    assert torch.allclose(found, wanted, rtol=1e-5)
    slopes = (torch.autograd.grad(loss, logits)[0] for loss in (found, wanted))
    torch.testing.assert_close(*slopes)


def test_a_batch_without_pixels_that_count_has_no_loss() -> None:
    logits, masks = logits_and_masks()
    logits.requires_grad_()
    found = Segmentation().loss(logits, torch.full_like(masks, 255), Recipe(), spec=None)
    found.backward()
    assert found.item() == 0
    assert not logits.grad.any()


@pytest.mark.parametrize("side", [4, 8])
def test_a_teacher_that_agrees_teaches_nothing(side: int) -> None:
    logits, _ = logits_and_masks()
    logits = functional.interpolate(logits, size=(side, side), mode="bilinear")
    mine = logits.clone().requires_grad_()
    Segmentation().distilled(mine, logits, temperature=3.0).backward()
    assert torch.allclose(mine.grad, torch.zeros_like(mine), atol=1e-6)


def test_a_teacher_with_a_larger_map_is_resized() -> None:
    logits, _ = logits_and_masks()
    larger = functional.interpolate(logits, size=(8, 8), mode="bilinear")
    assert Segmentation().distilled(logits, larger, temperature=2.0).isfinite()


def test_chance_is_the_best_constant_answer() -> None:
    """12 pixels of class 0 and 4 of class 2: answering 0 has an IoU of 12/16 for it, and 0 for class 2."""
    masks = np.zeros((1, 5, 4), np.uint8)
    masks[0, 0] = 2
    masks[0, 4] = 255
    split = ArraySplit(np.zeros((1, 3, 5, 4), np.uint8), masks)
    assert Segmentation().chance(split, classes=3) == 12 / 16 / 2
    assert Segmentation().chance(object(), classes=3) == 1 / 9


def test_ignored_pixels_stay_ignored_when_classes_change() -> None:
    masks = torch.tensor([[[0, 1], [2, 255]]], dtype=torch.uint8)
    changed = Segmentation().relabelled(masks, torch.tensor([2, 0, 1]))
    assert changed.tolist() == [[[2, 0], [1, 255]]]
    assert changed.dtype == torch.uint8


def test_masks_of_another_size_are_joined_by_their_nearest_pixels() -> None:
    small = np.array([[[0, 1], [2, 255]]], np.uint8)
    large = np.zeros((2, 4, 4), np.uint8)
    joined = Segmentation().concatenated(large, small)
    assert joined.shape == (3, 4, 4)
    assert np.array_equal(joined[2], small[0].repeat(2, 0).repeat(2, 1))
    assert np.array_equal(Segmentation().concatenated(small, joined[2:])[1], small[0])


def test_networks_are_judged_at_the_size_of_the_masks(data: Dataset) -> None:
    """Images at half the size, with masks at the whole: the evidence counts all pixels of the masks."""
    test = ArraySplit(data.test.images[:, :, ::2, ::2], data.test.targets)
    options = {"mean": data.mean, "std": data.std, "task": "segment"}
    found = evidence(small_network(), test, **options)
    assert found.whole.sum() == (data.test.targets != 255).sum()


def test_a_small_network_learns_to_find_rectangles(data: Dataset) -> None:
    network = small_network()
    recipe = Recipe(
        epochs=12, batch_size=8, learning_rate=0.02, segment=STILL, normalization="data"
    )
    result = train(network, data, recipe, seed=0)
    chance = Segmentation().chance(data.val, classes=3)
    assert result.accuracy > chance + 0.3
    found = evidence(network, data.test, mean=data.mean, std=data.std, task="segment")
    assert found.score().accuracy > chance + 0.3
    before = evidence(small_network(), data.test, mean=data.mean, std=data.std, task="segment")
    gained = found.minus(before)
    assert gained.low > 0
    assert gained.points == pytest.approx(100 * (found.score().accuracy - before.score().accuracy))


def test_evidence_does_not_depend_on_the_batch_size(data: Dataset) -> None:
    network = small_network()
    options = {"mean": data.mean, "std": data.std, "task": "segment"}
    whole = evidence(network, data.test, **options)
    parts = evidence(network, data.test, batch_size=4, **options)
    assert np.array_equal(whole.confusion, parts.confusion)
    assert whole.score().loss == pytest.approx(parts.score().loss, rel=1e-5)


def test_scenes_are_reproducible() -> None:
    one, other = (masked_scenes(3, px=16, seed=4) for _ in range(2))
    assert np.array_equal(one.targets, other.targets)
