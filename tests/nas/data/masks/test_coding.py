"""Pixels of masks stand for classes by their value, their palette or their color."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from nas.data.masks import coding as module
from nas.data.masks.cityscapes import LEARNED, label_ids
from nas.data.masks.coding import Coding, WrongMaskError, class_indices
from nas.data.masks.labels import VOC_CLASSES, voc_color, voc_labels

THREE = Coding.of_indices(3)
RED, BLUE = (200, 0, 0), (0, 0, 200)
COLORED = Coding.of_indices(2, {RED: 0, BLUE: 1, (9, 9, 9): 255})
VALUES = np.array([[0, 1, 2], [2, 255, 0]], np.uint8)


def palette_image(values: np.ndarray, *colors: tuple[int, int, int]) -> Image.Image:
    image = Image.fromarray(values, "P")
    image.putpalette([level for color in colors for level in color])
    return image


@pytest.mark.parametrize(
    "image",
    [
        Image.fromarray(VALUES),
        palette_image(VALUES, *(voc_color(index) for index in range(256))),
        Image.fromarray(VALUES.astype(np.uint16)),
        Image.fromarray(VALUES.astype(np.int32)),
    ],
    ids=["grey", "palette", "16 bits", "32 bits"],
)
def test_values_are_indices(image: Image.Image) -> None:
    found = class_indices(image, THREE)
    assert found.dtype == np.uint8
    assert np.array_equal(found, VALUES)


def test_a_mask_of_one_bit_has_two_classes() -> None:
    image = Image.fromarray(np.array([[0, 255], [255, 0]], np.uint8)).convert("1")
    assert class_indices(image, Coding.of_indices(2)).tolist() == [[0, 1], [1, 0]]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([[0, 3]], r"no class: 3 \(0 to 2 are classes, 255 is ignored\)"),
        ([[9, 254, 7, 9]], r"no class: 7, 9, 254 \("),
        ([[10, 11, 12, 13, 14, 15, 16]], r"no class: 10, 11, 12, 13, 14 and 2 more \("),
    ],
)
def test_values_beyond_the_classes_are_told(values: list[list[int]], said: str) -> None:
    with pytest.raises(WrongMaskError, match=said):
        class_indices(Image.fromarray(np.array(values, np.uint8)), THREE)


@pytest.mark.parametrize("value", [256, 65535])
def test_values_of_more_than_eight_bits_are_not_cut(value: int) -> None:
    image = Image.fromarray(np.array([[0, value]], np.uint16))
    with pytest.raises(WrongMaskError, match=f"no class: {value} "):
        class_indices(image, THREE)


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_colors_are_looked_up(mode: str) -> None:
    image = Image.new(mode, (3, 1), RED)
    image.putpixel((1, 0), BLUE)
    image.putpixel((2, 0), (9, 9, 9))
    assert class_indices(image, COLORED).tolist() == [[0, 1, 255]]


def test_colors_are_looked_up_in_parts(monkeypatch) -> None:
    known = {(0, 0, 0): 0, (250, 50, 83): 1, (51, 221, 255): 2}
    coding = Coding.of_indices(3, known)
    classes = np.random.default_rng(0).integers(0, 3, (11, 7), np.uint8)
    mask = Image.fromarray(np.array(list(known), np.uint8)[classes])
    monkeypatch.setattr(module, "AT_ONCE", 14)
    assert np.array_equal(class_indices(mask, coding), classes)


def test_colors_that_stand_for_nothing_are_told() -> None:
    image = Image.new("RGB", (2, 1), RED)
    image.putpixel((1, 0), (1, 2, 3))
    with pytest.raises(WrongMaskError, match=r"colors that stand for no class: \(1, 2, 3\)$"):
        class_indices(image, COLORED)
    with pytest.raises(WrongMaskError, match=r"is a color image, and no labelmap.txt says"):
        class_indices(image, THREE)


@pytest.mark.parametrize("mode", ["CMYK", "LA", "F"])
def test_other_modes_are_told(mode: str) -> None:
    with pytest.raises(WrongMaskError, match=f"has mode {mode}: save one class index a pixel"):
        class_indices(Image.new(mode, (2, 2)), COLORED)


def test_a_palette_in_another_order_is_read_by_its_colors() -> None:
    values = np.array([[0, 1]], np.uint8)
    assert class_indices(palette_image(values, BLUE, RED), COLORED).tolist() == [[1, 0]]


@pytest.mark.parametrize("colors", [((1, 1, 1), (2, 2, 2)), (RED,)], ids=["others", "too few"])
def test_a_palette_of_other_colors_is_read_as_indices(colors: tuple) -> None:
    values = np.array([[0, 1]], np.uint8)
    assert class_indices(palette_image(values, *colors), COLORED).tolist() == [[0, 1]]


def test_voc_has_21_classes_and_a_border_that_is_ignored() -> None:
    labels = voc_labels()
    values = np.array([[0, 15, 20, 255]], np.uint8)
    palette = [voc_color(index) for index in range(256)]
    for image in (palette_image(values, *palette), palette_image(values, *palette).convert("RGB")):
        assert class_indices(image, labels.coding).tolist() == [[0, 15, 20, 255]]
    assert (len(VOC_CLASSES), VOC_CLASSES[15]) == (21, "person")
    assert voc_color(15) == (192, 128, 128)


def test_cityscapes_labels_become_19_classes() -> None:
    found = class_indices(Image.fromarray(np.arange(34, dtype=np.uint8)[None]), label_ids())
    learned = {name: found[0, label] for name, label in LEARNED.items()}
    assert list(learned.values()) == list(range(19))
    assert (learned["road"], learned["train"], learned["bicycle"]) == (0, 16, 18)
    assert (found[0] == 255).sum() == 34 - 19


def test_keys_of_codings_differ() -> None:
    assert THREE.key() == Coding.of_indices(3).key()
    assert len({one.key() for one in (THREE, COLORED, Coding.of_indices(2), label_ids())}) == 4
