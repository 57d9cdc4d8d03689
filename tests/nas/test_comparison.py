"""Whether a difference is chance: against scipy."""

import numpy as np
import pytest
from scipy import stats

from nas.comparison import Comparison, comparisons
from nas.student import difference_with_interval, mean_with_interval, t975
from tests.nas.test_small_parts import trial


@pytest.mark.parametrize("freedom", [1, 2, 5, 10, 11, 14.5, 30, 200])
def test_quantiles_of_t(freedom):
    assert t975(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), abs=1e-3)


def test_a_part_of_a_degree_of_freedom_widens_the_interval():
    assert all(t975(freedom) >= stats.t.ppf(0.975, freedom) - 1e-3 for freedom in (1.2, 3.7, 9.9))


def test_the_interval_of_a_mean():
    values = [80.1, 79.4, 81.0]
    mean, half = mean_with_interval(values)
    low, high = stats.t.interval(0.95, 2, np.mean(values), stats.sem(values))
    assert (mean - half, mean + half) == pytest.approx((low, high), abs=1e-3)
    assert mean_with_interval([5.0]) == (5.0, None)


def test_the_interval_of_a_difference_is_welchs():
    rng = np.random.default_rng(0)
    first, second = rng.normal(80, 1, 14), rng.normal(79, 2, 15)
    difference, half = difference_with_interval(first.tolist(), second.tolist())
    theirs = stats.ttest_ind(first, second, equal_var=False).confidence_interval(0.95)
    assert (difference - half, difference + half) == pytest.approx(tuple(theirs), abs=1e-3)


def test_one_training_has_no_interval():
    assert difference_with_interval([1.0], [2.0, 3.0]) == (-1.5, None)
    single = Comparison("uniform", "scratch", (0.8,), (0.7,))
    assert single.by_chance
    assert "how much of that is chance is not known" in single.sentence()


def test_a_difference_beyond_chance_is_called_one():
    clear = Comparison("uniform", "finetune", (0.90, 0.91, 0.905), (0.80, 0.81, 0.805))
    assert not clear.by_chance
    assert clear.sentence().startswith("Trained on from the seed's weights: NetAdapt 90.5%")
    assert "10.0 points better" in clear.sentence()
    assert clear.sentence().endswith("more than chance.")
    behind = Comparison("uniform", "finetune", clear.theirs, clear.ours)
    assert "10.0 points worse" in behind.sentence()
    assert behind.ci95_points == pytest.approx([-end for end in reversed(clear.ci95_points)])


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
    made = comparisons(finals, ["uniform", "other", "absent"])
    assert made == [
        Comparison("uniform", "scratch", (0.80, 0.82), (0.78, 0.79)),
        Comparison("other", "finetune", (0.70,), (0.71,)),
    ]
