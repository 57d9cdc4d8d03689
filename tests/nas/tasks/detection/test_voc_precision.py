"""Pascal VOC's AP on small cases worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nas.tasks.detection.judged import JudgedImage
from nas.tasks.detection.voc_precision import voc_precision

PLACES = {"a": (0.0, 0.0, 0.2, 0.2), "b": (0.4, 0.4, 0.8, 0.8), "c": (0.8, 0.0, 1.0, 0.1)}
NOWHERE = (0.0, 0.9, 0.1, 1.0)


def image(truth, found) -> JudgedImage:
    """Objects (class, place, difficult) and boxes (class, score, place)."""
    objects = [(class_, *PLACES[place], difficult) for class_, place, difficult in truth]
    boxes = [(class_, score, *PLACES.get(place, NOWHERE)) for class_, score, place in found]
    return JudgedImage(
        np.array(objects, np.float32).reshape(-1, 6),
        np.array(boxes, np.float32).reshape(-1, 6),
        (100, 100),
    )


def test_right_wrong_right() -> None:
    """Two of three objects are found: precision 1 up to recall 1/3, then 2/3 up to recall 2/3."""
    images = [
        image([(0, "a", 0), (0, "b", 0)], [(0, 0.9, "a"), (0, 0.8, "nowhere")]),
        image([(0, "c", 0)], [(0, 0.7, "c")]),
    ]
    found = voc_precision(images, 1)
    assert found.all_points == pytest.approx(1 / 3 * 1 + 1 / 3 * 2 / 3)
    # Recalls 0 to 0.3 have precision 1, 0.4 to 0.6 have 2/3, 0.7 to 1 have none.
    assert found.eleven_points == pytest.approx((4 * 1 + 3 * 2 / 3) / 11)


def test_a_second_box_on_an_object_is_wrong() -> None:
    found = voc_precision([image([(0, "a", 0)], [(0, 0.9, "a"), (0, 0.8, "a")])], 1)
    assert found == (1, 1)  # after the first nothing is left to find
    both = [image([(0, "a", 0), (0, "b", 0)], [(0, 0.9, "a"), (0, 0.8, "a"), (0, 0.7, "b")])]
    assert voc_precision(both, 1).all_points == pytest.approx(1 / 2 + 1 / 2 * 2 / 3)


def test_difficult_objects_are_left_out_with_the_boxes_on_them() -> None:
    plain = image([(0, "a", 0)], [(0, 0.8, "a")])
    more = image([(0, "a", 0), (0, "b", 1)], [(0, 0.9, "b"), (0, 0.8, "a")])
    missed = image([(0, "a", 0), (0, "b", 1)], [(0, 0.8, "a")])
    assert voc_precision([plain], 1) == voc_precision([more], 1) == voc_precision([missed], 1)


def test_the_mean_is_over_classes_that_have_objects() -> None:
    """Class 0 is found, class 1 is not; class 2 has a box, and a difficult object only."""
    images = [
        image([(0, "a", 0), (1, "b", 0), (2, "c", 1)], [(0, 0.9, "a"), (2, 0.9, "nowhere")]),
        image([], []),
    ]
    assert voc_precision(images, 3) == (0.5, 0.5)


def test_without_objects_there_is_none() -> None:
    assert all(map(math.isnan, voc_precision([image([], [(0, 0.9, "a")])], 1)))
