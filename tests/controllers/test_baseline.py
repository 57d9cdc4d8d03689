"""The moving baseline: past rewards only, any unit, robust against single trials."""

import pytest

from controllers.baseline import Baseline

USUAL = [0.70, 0.72, 0.68, 0.71, 0.69, 0.73, 0.67, 0.70, 0.72, 0.68]


def test_mean_follows_the_recurrence() -> None:
    baseline = Baseline(decay=0.9, mean=0.70, spread=0.1).after([0.80, 0.60])
    once = 0.9 * 0.70 + 0.1 * 0.80
    assert baseline.mean == pytest.approx(0.9 * once + 0.1 * 0.60)


def test_spread_follows_the_recurrence() -> None:
    baseline = Baseline(decay=0.9, mean=0.70, spread=0.1).after([0.80])
    assert baseline.spread**2 == pytest.approx(0.9 * 0.1**2 + 0.1 * 0.10**2)


@pytest.mark.parametrize("scale", [0.01, 100.0])
def test_advantages_do_not_depend_on_the_unit(scale: float) -> None:
    plain = Baseline().after(USUAL).after([0.75, 0.74])
    scaled = Baseline().after([r * scale for r in USUAL]).after([0.75 * scale, 0.74 * scale])
    assert scaled.advantages([0.71 * scale]) == pytest.approx(plain.advantages([0.71]))


def test_without_normalisation_advantages_keep_the_unit() -> None:
    baseline = Baseline(normalize=False, mean=0.70, spread=0.02)
    assert baseline.advantages([0.71]) == pytest.approx([0.01])


def test_failed_trial_moves_little() -> None:
    before = Baseline().after(USUAL)
    after = before.after([0.0])
    assert before.advantages([0.0]) == [-before.clip]
    assert after.mean == pytest.approx(before.mean, abs=0.01)
    assert after.spread == pytest.approx(before.spread, rel=0.1)


def test_failed_trial_in_the_warmup_moves_little() -> None:
    baseline = Baseline().after([0.0, *USUAL[1:]])
    assert baseline.mean == pytest.approx(0.70, abs=0.01)
    assert baseline.spread == pytest.approx(0.02, abs=0.015)


def test_equal_rewards_prolong_the_warmup() -> None:
    baseline = Baseline().after([0.0] * 1000)  # everything fails at first
    assert not baseline.is_set
    assert baseline.advantages([0.7]) == [0.0]
    assert len(baseline.heard) == baseline.warmup
    assert baseline.after(USUAL).is_set


def test_a_warmup_of_one_lasts_until_two_differ() -> None:
    baseline = Baseline(warmup=1).after([0.5])
    assert not baseline.is_set
    assert baseline.after([0.7]).is_set


def test_one_at_a_time_is_the_same_as_a_batch() -> None:
    stepwise = Baseline()
    for reward in (*USUAL, 0.75, 0.3):
        stepwise = stepwise.after([reward])
    assert stepwise == Baseline().after([*USUAL, 0.75, 0.3])


def test_settled_policy_is_not_driven_by_rounding() -> None:
    baseline = Baseline().after(USUAL).after([0.7] * 20_000)
    assert baseline.is_set
    assert baseline.advantages([0.7]) == pytest.approx([0.0], abs=1e-6)
    # Without a least spread, a difference in the seventh digit would count as a great success.
    assert baseline.advantages([0.7 + 7e-8]) == pytest.approx([0.001], rel=0.01)


def test_a_warmup_of_mostly_equal_rewards_has_a_spread() -> None:
    baseline = Baseline(warmup=4).after([0.5, 0.5, 0.5, 0.7])
    assert baseline.mean == 0.5
    assert baseline.spread == pytest.approx(0.2 * 3**0.5 / 4)  # of one value in four
