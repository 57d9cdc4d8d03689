import math

import numpy as np
import pytest
from scipy import stats

from nas.comparing.paired import Difference
from nas.tasks.classification import Answers


def answers(right):
    """Return 100 answers to images of class 0, the first `right` of them correct."""
    given = np.array([0] * right + [1] * (100 - right))
    return Answers(given, np.zeros(100, np.int64), np.full(100, 0.5, np.float32))


def test_differences_are_paired_by_seed():
    ours = {0: answers(90), 1: answers(80), 2: answers(70), 9: answers(10)}
    theirs = {0: answers(88), 1: answers(77), 2: answers(69)}
    found = Difference.of(ours, theirs)
    assert found.seeds == 3
    assert found.points == pytest.approx(2.0)
    # Student's t of 2, 3 and 1 point, whose deviation is 1.
    assert found.over_seeds == pytest.approx(stats.t.ppf(0.975, 2) / math.sqrt(3))


@pytest.mark.parametrize(
    ("difference", "chance"),
    [
        (Difference(3.0, 1.0, 1.0, 5.0, seeds=5), False),
        (Difference(-3.0, 1.0, -5.0, -1.0, seeds=5), False),
        (Difference(1.5, 1.0, -0.5, 3.5, seeds=5), True),  # other images might say otherwise
        (Difference(1.5, 2.0, 0.5, 2.5, seeds=5), True),  # other trainings might
        (Difference(3.0, 2.5, 0.5, 5.5, seeds=5), True),  # both together: 3.54
        (Difference(3.0, 1.0, -0.1, 3.2, seeds=5), True),  # a bootstrap's interval is not symmetric
        (Difference(-3.0, 1.0, -3.2, 0.1, seeds=5), True),
        (Difference(3.0, None, 2.0, 4.0, seeds=1), None),
    ],
)
def test_a_difference_is_real_only_over_seeds_and_over_images(difference, chance):
    assert difference.by_chance is chance


def test_as_many_seeds_as_it_says_would_settle_a_difference():
    difference = Difference(1.0, 2.0, 0.5, 1.5, seeds=4)
    seeds, images = difference.settled_by(images=200)
    deviation = 2.0 * math.sqrt(4) / stats.t.ppf(0.975, 3)

    def half(count):
        return stats.t.ppf(0.975, count - 1) * deviation / math.sqrt(count)

    assert half(seeds) < math.sqrt(0.5) <= half(seeds - 1)
    assert images == 200  # these are enough already


def test_nothing_settles_what_is_no_difference():
    assert Difference(0.0, 1.0, -1.0, 1.0, seeds=3).settled_by(images=100) is None
    assert Difference(0.001, 5.0, -1.0, 1.0, seeds=3).settled_by(images=100) is None
    assert Difference(1.0, None, 0.0, 2.0, seeds=1).settled_by(images=100) is None


def test_no_fewer_seeds_than_there_were_are_advised():
    seeds, images = Difference(1.0, 0.1, -1.0, 3.0, seeds=5).settled_by(images=100)
    assert (seeds, images) == (5, 800)
