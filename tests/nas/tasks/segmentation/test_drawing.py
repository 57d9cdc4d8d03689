"""Masks are drawn over their images in the colors that the legend names."""

from __future__ import annotations

import pytest
import torch

from nas.tasks.drawing.colors import color
from nas.tasks.drawing.legend import LEGEND_PX, ROW_PX, with_legend
from nas.tasks.segmentation.class_maps import AnnotatedMap
from nas.tasks.segmentation.drawing import OPACITY, overlaid

CLASSES = ("Background", "dress", "shoe")
MASK = (
    torch.tensor([[0, 1], [2, 255]], dtype=torch.uint8)
    .repeat_interleave(20, 0)
    .repeat_interleave(20, 1)
)


def test_each_class_has_its_color_and_the_background_stays() -> None:
    pixels = torch.full((3, 40, 40), 100, dtype=torch.uint8)
    found = overlaid(pixels, MASK, CLASSES)
    assert found.shape == pixels.shape
    assert (pixels == 100).all()
    assert found[:, 0, 0].tolist() == [100, 100, 100]
    for (row, column), index in (((0, 30), 1), ((30, 0), 2), ((30, 30), 255)):
        wanted = [100 * (1 - OPACITY) + OPACITY * level for level in color(index)]
        assert found[:, row, column].tolist() == pytest.approx(wanted, abs=1)


def test_an_image_of_background_only_is_left_as_it_is() -> None:
    pixels = torch.full((3, 40, 40), 7, dtype=torch.uint8)
    assert torch.equal(overlaid(pixels, torch.zeros_like(MASK), CLASSES), pixels)


def test_colors_of_classes_differ() -> None:
    assert len({color(index) for index in (*range(254), 255)}) == 255


def test_the_legend_names_the_classes_that_occur() -> None:
    colors = AnnotatedMap(MASK).colors(CLASSES, size=(40, 40))
    assert list(colors.values()) == [color(index) for index in (1, 2, 255)]
    pixels = torch.full((3, 40, 40), 100, dtype=torch.uint8)
    sheet = with_legend(pixels, colors, classes=tuple(colors))
    assert sheet.shape == (3, 3 * ROW_PX, 40 + LEGEND_PX)
    assert torch.equal(sheet[:, :40, :40], pixels)
    for row, swatch in enumerate(colors.values()):
        assert sheet[:, row * ROW_PX + ROW_PX // 2, 40 + 10].tolist() == list(swatch)
        name = sheet[:, row * ROW_PX : (row + 1) * ROW_PX, 60:]
        assert (name < 128).any()
    assert with_legend(pixels, {}, classes=()) is pixels
