"""Which box is which object, and what follows from it: confusion, and the score of an image."""

from __future__ import annotations

import numpy as np
import pytest

from nas.tasks.detection.evidence import Detections
from nas.tasks.detection.judged import JudgedImage, f1, matched, overlaps

LEFT, RIGHT = (0.0, 0.0, 0.4, 0.4), (0.5, 0.5, 1.0, 1.0)


def image(truth, found) -> JudgedImage:
    return JudgedImage(
        np.array(truth, np.float32).reshape(-1, 6),
        np.array(found, np.float32).reshape(-1, 6),
        (200, 100),
    )


def test_overlaps() -> None:
    boxes = np.array([[0, 0, 0.4, 0.4], [0.2, 0, 0.6, 0.4], [0.9, 0.9, 1, 1]], np.float32)
    found = overlaps(boxes[:1], boxes)
    assert found == pytest.approx(np.array([[1, 1 / 3, 0]]), abs=1e-6)


@pytest.mark.parametrize(
    ("truth", "found", "pairs"),
    [
        ([(0, *LEFT, 0)], [(0, 0.9, *LEFT)], [(0, 0)]),
        ([(0, *LEFT, 0)], [(1, 0.9, *LEFT)], [(0, 1)]),
        ([(0, *LEFT, 0)], [(0, 0.2, *LEFT)], [(0, 2)]),  # too low a score to be shown
        ([(0, *LEFT, 0)], [(0, 0.9, *RIGHT)], [(2, 0), (0, 2)]),
        ([(0, *LEFT, 0)], [(1, 0.5, *LEFT), (0, 0.9, *LEFT)], [(0, 0), (2, 1)]),
        ([(0, *LEFT, 1)], [(1, 0.9, *LEFT)], []),  # on an ignored object
        ([(0, *LEFT, 1)], [], []),
        ([], [], []),
    ],
)
def test_pairs(truth, found, pairs) -> None:
    assert matched(image(truth, found), background=2) == pairs


def test_f1() -> None:
    assert f1([], background=2) == 1
    assert f1([(0, 1)], background=2) == 0
    assert f1([(0, 0), (1, 1), (2, 0)], background=2) == pytest.approx(4 / 5)


def test_details_have_the_confusion_with_the_background_last() -> None:
    images = (
        image([(0, *LEFT, 0), (1, *RIGHT, 0)], [(0, 0.9, *LEFT), (0, 0.8, *RIGHT)]),
        image([(1, *LEFT, 0)], [(1, 0.9, *RIGHT)]),
        image([], []),
    )
    evidence = Detections(images, 2)
    details = evidence.details(("cat", "dog"))
    assert details["confusion"] == [[1, 0, 0], [1, 0, 1], [0, 1, 0]]
    assert [row["objects"] for row in details["by_class"]] == [1, 2]
    assert details["by_class"][0]["ap"] == pytest.approx(1)  # its first box is right
    assert details["voc_ap"] == pytest.approx(0.5)  # dogs are not found
    assert evidence.each().tolist() == [0.5, 0, 1]
    lines, matrix = evidence.charts(("cat", "dog"))
    assert [curve.name for curve in lines.curves] == ["cat (100.0)", "dog (0.0)"]
    assert matrix.rows == ("cat", "dog", "(background)")


def test_without_sizes_nothing_is_small_or_large() -> None:
    unknown = JudgedImage(
        np.array([(0, *LEFT, 0)], np.float32), np.array([(0, 0.9, *LEFT)], np.float32), None
    )
    details = Detections((unknown,), 1).details(("cat",))
    assert details["ap50"] == pytest.approx(1)
    assert [details[f"ap_{size}"] for size in ("small", "medium", "large")] == [None] * 3
