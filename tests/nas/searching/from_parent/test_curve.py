"""Candidates and finalists at further latencies."""

from dataclasses import replace

import pytest

from latency import open_device
from nas.engine.job import Job, Outcome
from nas.engine.trial import Trial
from nas.searching.from_parent.curve import Curve
from nas.searching.from_parent.rivals import Rival
from search_spaces import count

SOURCE = open_device("madds:1")


def trial_of(space, index, tokens, accuracy):
    spec = space.decode(tokens)
    job = Job(index, "search", 0, tokens, spec, seed=0, latencies=(SOURCE.latency(spec),))
    return Trial.of(job, Outcome(accuracy), reward=accuracy)


@pytest.fixture
def curve(space):
    specs = [replace(space.parent, resolution=64), replace(space.parent, resolution=32)]
    specs.append(space.decode((0,) * len(space.arities)))
    rivals = [Rival(str(place), spec, (SOURCE.latency(spec),)) for place, spec in enumerate(specs)]
    whole_ms = SOURCE.latency(space.parent).median_ms
    return Curve.of(space, 2, parent_ms=[whole_ms], rivals=rivals, seed=0)


def test_the_points_go_down_to_a_quarter_of_the_parents_latency(curve, space) -> None:
    whole_ms = SOURCE.latency(space.parent).median_ms
    assert [ms[0] / whole_ms for ms in curve.limits_ms] == pytest.approx([0.5, 0.25])


def test_candidates_are_just_within_each_point_in_turn(curve, space) -> None:
    chosen = [tokens for batch in range(4) for tokens in curve.candidates(5 * batch, 5, [])]
    parts = [count(space.decode(one)).madds / count(space.parent).madds for one in chosen]
    for part, limit in zip(parts, [0.5, 0.25, 0.5, 0.25], strict=True):
        assert 0.3 * limit < part <= 1.02 * limit
    # One candidate in five, in batches of any size.
    assert curve.candidates(0, 20, []) == chosen
    assert [n for batch in range(5) for n in curve.candidates(4 * batch, 4, [])] == chosen
    assert curve.candidates(0, 4, []) == []


def test_nothing_is_proposed_before_latencies_are_known(curve) -> None:
    assert replace(curve, known=curve.known[:2]).candidates(0, 10, []) == []


def test_a_limit_that_no_network_reaches_has_small_ones(curve, space) -> None:
    unreachable = replace(curve, limits_ms=((1e-9,),))
    (tokens,) = unreachable.candidates(0, 5, [])
    assert count(space.decode(tokens)).madds < 0.25 * count(space.parent).madds


def test_each_point_has_the_best_trial_near_it(curve, space) -> None:
    found = curve.candidates(0, 50, [])
    trials = [trial_of(space, i, tokens, 0.5 + 0.01 * i) for i, tokens in enumerate(found)]
    fast, slow = (
        max((t for t in trials if low < t.latencies_ms[0] <= high), key=lambda t: t.accuracy)
        for low, high in [(curve.limits_ms[1][0] / 2, curve.limits_ms[1][0]),
                          (curve.limits_ms[1][0], curve.limits_ms[0][0])]
    )  # fmt: skip
    assert curve.finalists(trials, {}, beside=[]) == [slow, fast]
    assert curve.finalists(trials, {}, beside=[slow]) == [fast]


def test_a_latency_is_within_a_point_on_every_device(curve, space) -> None:
    (tokens, *_) = curve.candidates(0, 5, [])
    trial = trial_of(space, 0, tokens, 0.5)
    limits = tuple((ms, ms) for (ms,) in curve.limits_ms)
    on_two = replace(curve, limits_ms=limits)
    for factor, is_within in ((1, True), (10, False)):
        other = replace(trial.latencies[0], median_ms=factor * trial.latencies[0].median_ms)
        both = replace(trial, latencies=(*trial.latencies, other))
        assert on_two.finalists([both], {}, beside=[]) == ([both] if is_within else [])
