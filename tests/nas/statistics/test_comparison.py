"""Whether a difference is chance: against tables and the formulas written out."""

import math
from dataclasses import replace

import pytest

from nas.adapting.results.comparison import Comparison, comparisons
from nas.statistics.confidence_intervals import difference_with_interval, mean_with_interval
from nas.tasks.intervals import Difference
from tests.nas.test_small_parts import trial


def test_the_interval_of_a_mean():
    values = [80.1, 79.4, 81.0]
    mean, half = mean_with_interval(values)
    spread = math.sqrt(sum((value - mean) ** 2 for value in values) / 2)
    # 4.303: the table's quantile of t for two degrees of freedom.
    assert half == pytest.approx(4.302653 * spread / math.sqrt(3), rel=1e-6)
    assert mean == pytest.approx(80.16667, abs=1e-5)
    assert mean_with_interval([5.0]) == (5.0, None)


def test_the_interval_of_a_difference_is_welchs():
    first, second = [80.0, 82.0, 81.0, 79.0], [77.0, 77.0, 79.0, 79.0]
    difference, half = difference_with_interval(first, second)
    squares = [5 / 3 / 4, 4 / 3 / 4]  # variances over the number of values
    freedom = sum(squares) ** 2 / sum(square**2 / 3 for square in squares)
    assert freedom == pytest.approx(5.926829, abs=1e-6)
    # Between the table's 2.571 (5 degrees) and 2.447 (6).
    quantile = half / math.sqrt(sum(squares))
    assert 2.447 < quantile < 2.571
    assert quantile == pytest.approx(2.4545, abs=2e-3)
    assert difference == 2.5


def test_trainings_that_are_all_alike_differ_by_what_they_differ():
    assert difference_with_interval([2.0, 2.0], [1.0, 1.0]) == (1.0, 0.0)


@pytest.mark.filterwarnings("error")
def test_nearly_equal_trainings_need_no_warning():
    half = difference_with_interval([85.0, 85.0 + 1e-13], [82.0, 84.0])[1]
    # Welch's degrees of freedom are those of the second pair alone, 1: t is 12.706.
    assert half == pytest.approx(12.7062, rel=1e-4)


def test_one_training_has_no_interval():
    assert difference_with_interval([1.0], [2.0, 3.0]) == (-1.5, None)
    single = Comparison("uniform", "scratch", (0.8,), (0.7,))
    assert single.by_chance
    assert "one seed does not show how much of that is chance" in single.sentence()


def test_a_difference_beyond_chance_is_called_one():
    clear = Comparison("uniform", "finetune", (0.90, 0.91, 0.905), (0.80, 0.81, 0.805))
    assert not clear.by_chance
    assert clear.sentence().startswith(
        "Fine-tuned from the seed's weights, on test images: NetAdapt 90.5%"
    )
    assert "10.0 points better" in clear.sentence()
    assert clear.sentence().endswith(": significant.")
    behind = Comparison("uniform", "finetune", clear.theirs, clear.ours)
    assert "10.0 points worse" in behind.sentence()
    assert behind.ci95_points == pytest.approx([-end for end in reversed(clear.ci95_points)])


def test_a_difference_on_few_images_may_be_chance_however_steady_the_seeds_are():
    steady = Comparison("uniform", "finetune", (0.90, 0.91, 0.905), (0.88, 0.89, 0.885))
    assert not steady.by_chance
    few = replace(steady, paired=Difference(2.0, -1.5, 5.5))
    assert few.by_chance
    assert few.sentence("AP").startswith("Fine-tuned from the seed's weights, AP on test images:")
    assert "over images -1.5 to +5.5): not significant." in few.sentence("AP")
    assert few.to_dict()["images_ci95_points"] == [-1.5, 5.5]
    many = replace(steady, paired=Difference(2.0, 0.5, 3.5))
    assert not many.by_chance


def test_they_are_made_from_the_trainings_that_succeeded():
    finals = [
        trial(0, 0.80, 1.0, kind="scratch"),
        trial(1, 0.82, 1.0, kind="scratch"),
        trial(1, 0.79, 1.0, kind="uniform-scratch"),
        trial(0, 0.78, 1.0, kind="uniform-scratch"),
        trial(2, None, 1.0, kind="uniform-scratch"),
        trial(3, 0.50, 1.0, kind="uniform-curve"),
        trial(0, 0.70, 1.0, kind="finetune"),
        trial(0, 0.71, 1.0, kind="other-finetune"),
    ]
    made = comparisons(finals, ["uniform", "other", "absent"], {}, {})
    held_out = [
        Comparison("uniform", "scratch", (0.80, 0.82), (0.78, 0.79), images="held-out"),
        Comparison("other", "finetune", (0.70,), (0.71,), images="held-out"),
    ]
    assert made == held_out
    paired = {"uniform-scratch-0": Difference(10.0, 2.0, 18.0)}
    # On the test images, once all of a comparison have been looked at there.
    tested = {"scratch-0": 0.6, "scratch-1": 0.61, "uniform-scratch-0": 0.5, "finetune-0": 0.4}
    assert comparisons(finals, ["uniform", "other"], tested, paired) == held_out
    tested["uniform-scratch-1"] = 0.51
    first, second = comparisons(finals, ["uniform", "other"], tested, paired)
    assert first == Comparison(
        "uniform", "scratch", (0.6, 0.61), (0.5, 0.51), "test", Difference(10.0, 2.0, 18.0)
    )
    assert second == held_out[1]
    assert "on test images" in first.sentence()
    assert "on held-out images" in second.sentence()
