"""Random crops, color and mixing: equal to torchvision's on the same draws, and within their limits."""

import pytest
import torch
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

from nas.tasks.augmentation.augment import augment, crop_and_mirror, random_boxes
from nas.tasks.augmentation.draws import Draws
from nas.tasks.augmentation.mixing import mix
from nas.tasks.settings import Augment

STILL = Augment(flip=False, pad_fraction=0)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def pictures(count=4, side=48):
    """Smooth pictures: of noise any two ways to resize differ."""
    small = torch.rand(count, 3, 6, 6, generator=seeded(5)) * 255
    return functional.resize(small, [side, side], antialias=True).round().to(torch.uint8)


@pytest.mark.parametrize("size", [48, 32, 64])
def test_crops_are_torchvisions(size):
    images = pictures()
    boxes = torch.tensor(
        [[0, 0, 1, 1], [0.25, 0.5, 0.5, 0.5], [0, 0.25, 0.75, 0.5], [0.5, 0, 0.5, 1]]
    )
    mirrored = torch.tensor([False, True, False, True])
    found = crop_and_mirror(images, boxes, mirrored=mirrored, size_px=size)
    for image, box, flip, ours in zip(images, boxes, mirrored, found, strict=True):
        left, top, wide, high = (int(value * 48) for value in box)
        theirs = functional.resized_crop(
            image, top, left, high, wide, [size, size], antialias=False
        )
        theirs = functional.horizontal_flip(theirs) if flip else theirs
        # At its edges torchvision repeats the crop's last pixels; ours continues into the image.
        inside = slice(size // 16, -(size // 16))
        assert (ours.int() - theirs.int())[:, inside, inside].abs().max() <= 1


def test_the_whole_image_is_unchanged():
    images = pictures()
    whole = torch.tensor([[0.0, 0, 1, 1]]).expand(4, 4)
    same = crop_and_mirror(images, whole, mirrored=torch.zeros(4, dtype=torch.bool), size_px=48)
    assert torch.equal(same, images)


def test_boxes_have_the_areas_and_ratios():
    settings = Augment(crop_area=0.25, crop_ratio=4 / 3)
    left, top, wide, high = random_boxes(settings, Draws(seeded(), 5000)).unbind(1)
    assert ((left >= 0) & (top >= 0) & (left + wide <= 1.0001) & (top + high <= 1.0001)).all()
    area, ratio = wide * high, wide / high
    assert 0.24 < area.min() < 0.27
    assert area.max() <= 1
    assert area.mean() == pytest.approx(0.6, abs=0.03)  # cut at the edges, a little below 0.625
    assert (ratio <= 4 / 3 + 1e-4).all()
    assert (ratio >= 3 / 4 - 1e-4).all()


def test_larger_images_are_cropped_to_the_size():
    settings = Augment(crop_area=0.3)
    stored = settings.stored_px(32)
    changed = augment(pictures(side=stored), settings, generator=seeded(), size_px=32)
    assert changed.shape == (4, 3, 32, 32)
    assert changed.is_contiguous(memory_format=torch.channels_last)
    again = augment(pictures(side=stored), settings, generator=seeded(), size_px=32)
    assert torch.equal(changed, again)


@pytest.mark.parametrize("policy", ["trivialaugment", "randaugment"])
def test_policies_draw_from_the_generator_alone(policy):
    settings = STILL.model_copy(update={"policy": policy})
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = augment(pictures(), settings, generator=seeded(1))
    assert torch.equal(state, torch.get_rng_state())
    torch.manual_seed(2)
    assert torch.equal(first, augment(pictures(), settings, generator=seeded(1)))
    assert not torch.equal(first, augment(pictures(), settings, generator=seeded(2)))


def test_without_saturation_only_gray_is_left():
    settings = STILL.model_copy(update={"saturation": 0.999})
    images, grays = pictures(256), functional.rgb_to_grayscale(pictures(256), 3)
    spread = (augment(images, settings, generator=seeded()).float() - grays).abs().mean((1, 2, 3))
    whole = (images.float() - grays).abs().mean((1, 2, 3))
    share = (spread / whole.clamp(min=1)).clamp(max=2)
    assert share.min() < 0.1
    assert share.max() > 1.5


def test_hue_keeps_luma_and_turns_color():
    luma = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    images = pictures(64) // 4 + 96  # away from the limits, where turned colors are cut
    turned = augment(images, STILL.model_copy(update={"hue": 0.3}), generator=seeded())
    before, after = ((i.float() * luma).sum(1) for i in (images, turned))
    assert (before - after).abs().max() < 2
    assert (images.int() - turned.int()).abs().float().mean() > 3


@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
def test_mixing_is_torchvisions(kind):
    images, labels = torch.randn(8, 3, 16, 16, generator=seeded()), torch.arange(8) % 3
    found, targets = mix(images, labels, Augment(**{kind: 0.8}), classes=3, seed=5)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        transform = {"mixup": v2.MixUp, "cutmix": v2.CutMix}[kind](alpha=0.8, num_classes=3)
        wanted, their_targets = v2.RandomChoice([transform])(images, labels)
    assert torch.equal(found, wanted)
    assert torch.equal(targets, their_targets)
    assert torch.allclose(targets.sum(1), torch.ones(8))


def test_with_both_either_is_taken():
    images, labels = torch.randn(8, 3, 16, 16), torch.arange(8)
    settings = Augment(mixup=0.2, cutmix=1.0)
    cut = 0
    for seed in range(40):
        mixed, _ = mix(images, labels, settings, classes=8, seed=seed)
        pixels = torch.isclose(mixed, images).all(dim=1).float().mean()
        cut += bool(pixels > 0.02)  # CutMix leaves whole pixels as they were
    assert 8 < cut < 32
