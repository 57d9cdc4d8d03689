"""Augmentation and normalisation against torchvision, one image at a time."""

import pytest
import torch
import torchvision.transforms.functional as reference
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from nas.tasks.augmentation.augment import augment, normalize, shift_and_mirror
from nas.tasks.settings import Augment

NOTHING = Augment(flip=False, pad_fraction=0)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_images(count: int, height: int = 9, width: int = 12) -> Tensor:
    shape = (count, 3, height, width)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=seeded(0))


@given(st.integers(0, 5), st.integers(0, 10_000))
def test_shift_and_mirror_agree_with_torchvision(pad: int, seed: int) -> None:
    images = random_images(6)
    generator = seeded(seed)
    down, right = torch.randint(2 * pad + 1, (2, 6), generator=generator)
    mirrored = torch.rand(6, generator=generator) < 0.5
    ours = shift_and_mirror(images, mirrored=mirrored, down=down, right=right, pad=pad)
    for index, image in enumerate(images):
        expected = reference.pad(image, [pad] * 4)
        expected = reference.crop(expected, int(down[index]), int(right[index]), 9, 12)
        if mirrored[index]:
            expected = reference.hflip(expected)
        assert torch.equal(ours[index], expected)


def test_normalize_agrees_with_torchvision() -> None:
    images = random_images(4)
    mean, std = (0.2, 0.5, 0.7), (0.1, 0.25, 0.3)
    ours = normalize(images, mean=mean, std=std)
    expected = reference.normalize(images.float() / 255, list(mean), list(std))
    assert ours.dtype == torch.float32
    torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-5)


def test_results_are_channels_last_and_the_input_is_kept() -> None:
    images = random_images(4)
    before = images.clone()
    changed = augment(images, Augment(), generator=seeded(0))
    floats = normalize(changed, mean=(0.5,) * 3, std=(0.2,) * 3)
    assert changed.is_contiguous(memory_format=torch.channels_last)
    assert floats.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(images, before)


def test_every_setting_off_changes_nothing() -> None:
    images = random_images(4)
    assert torch.equal(augment(images, NOTHING, generator=seeded(0)), images)


def test_the_generator_decides() -> None:
    images = random_images(16)
    everything = Augment(brightness=0.3, contrast=0.3, erase_probability=0.5)
    first = augment(images, everything, generator=seeded(1))
    assert torch.equal(first, augment(images, everything, generator=seeded(1)))
    assert not torch.equal(first, augment(images, everything, generator=seeded(2)))


def test_about_half_of_the_images_are_mirrored() -> None:
    images = random_images(1).expand(400, -1, -1, -1)
    changed = augment(images, Augment(pad_fraction=0), generator=seeded(0))
    mirrored = (changed == images.flip(3)).flatten(1).all(dim=1)
    unchanged = (changed == images).flatten(1).all(dim=1)
    assert (mirrored ^ unchanged).all()
    assert 150 < int(mirrored.sum()) < 250


def test_shifts_reach_both_ends_and_no_further() -> None:
    images = torch.zeros(500, 1, 16, 16, dtype=torch.uint8)
    images[:, :, 8, 8] = 1
    shifted = augment(images, Augment(flip=False, pad_fraction=0.125), generator=seeded(0))
    _, _, rows, columns = shifted.nonzero(as_tuple=True)
    assert sorted(set(rows.tolist())) == [6, 7, 8, 9, 10]
    assert sorted(set(columns.tolist())) == [6, 7, 8, 9, 10]


def test_brightness_scales_each_image_by_its_own_factor() -> None:
    images = torch.full((200, 3, 4, 4), 100, dtype=torch.uint8)
    settings = NOTHING.model_copy(update={"brightness": 0.4})
    values = augment(images, settings, generator=seeded(0)).flatten(1)
    assert (values == values[:, :1]).all()
    assert 60 <= int(values.min()) < 70
    assert 130 < int(values.max()) <= 140


def test_contrast_keeps_the_mean() -> None:
    images = random_images(50) // 2 + 64
    settings = NOTHING.model_copy(update={"contrast": 0.5})
    changed = augment(images, settings, generator=seeded(0)).float()
    before = images.float()
    assert (changed.mean((1, 2, 3)) - before.mean((1, 2, 3))).abs().max() < 1
    ratio = changed.std((1, 2, 3)) / before.std((1, 2, 3))
    assert 0.48 < ratio.min() < 0.65
    assert 1.35 < ratio.max() < 1.52


@pytest.mark.parametrize("probability", [0.0, 0.3, 1.0])
def test_erasing_blackens_one_rectangle(probability: float) -> None:
    images = torch.full((300, 3, 20, 20), 9, dtype=torch.uint8)
    settings = NOTHING.model_copy(update={"erase_probability": probability})
    holes = augment(images, settings, generator=seeded(0)) == 0
    hit = holes.flatten(1).any(dim=1)
    assert abs(hit.float().mean() - probability) < 0.1
    for hole in holes[hit]:
        rows, columns = hole[0].any(dim=1), hole[0].any(dim=0)
        assert torch.equal(hole[0], rows[:, None] & columns[None, :])
        assert 4 <= int(rows.sum()) <= 11
        assert 4 <= int(columns.sum()) <= 11
