"""Images in rows with captions: places, and lines that are too long."""

import numpy as np
import pytest

from nas.data.contact_sheet import FONT_SIZE, GAP, LINE, Captioned, contact_sheet

SIDE = 60


def image(shade, *lines):
    return Captioned(np.full((3, SIDE, SIDE), shade, np.uint8), lines)


def test_images_are_in_rows():
    sheet = np.asarray(contact_sheet([image(shade, "a", "b") for shade in (10, 20, 30)], columns=2))
    step = SIDE + 2 * LINE + GAP
    assert sheet.shape == (2 * step + GAP, 2 * (SIDE + GAP) + GAP, 3)
    for shade, top, left in ((10, 0, 0), (20, 0, SIDE + GAP), (30, step, 0)):
        place = sheet[GAP + top : GAP + top + SIDE, GAP + left : GAP + left + SIDE]
        assert (place == shade).all()
    assert (sheet[GAP + step :, 2 * GAP + SIDE :] == 255).all()  # no fourth image


@pytest.mark.parametrize("line", ["long " * 50, "最上" * 50, ""])
def test_a_line_stays_below_its_image(line):
    sheet = np.asarray(contact_sheet([image(255, line), image(255, "")], columns=2))
    assert (sheet[:, GAP + SIDE + GAP :] == 255).all()
    text = sheet[GAP + SIDE : GAP + SIDE + FONT_SIZE]
    assert (text < 128).any() == bool(line)
