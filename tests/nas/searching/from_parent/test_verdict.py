"""The verdict: a paired difference, and advice that agrees with it."""

from types import SimpleNamespace

import numpy as np
import pytest

from latency import Device, Latency
from nas.engine.trial import Trial
from nas.searching.results import conclusion
from nas.searching.results.verdict import Score, Verdict
from nas.statistics.noise import Noise, faster_finalist
from nas.tasks.intervals import Difference


def test_the_interval_is_that_of_a_paired_bootstrap():
    draw = np.random.default_rng(0)
    ours = draw.random(2000) < 0.8
    theirs = np.where(draw.random(2000) < 0.15, ~ours, ours)
    found = Difference.of(ours.tolist(), theirs.tolist())
    steps = ours.astype(int) - theirs.astype(int)
    means = [100 * draw.choice(steps, 2000).mean() for _ in range(2000)]
    assert found.points == pytest.approx(100 * (ours.mean() - theirs.mean()))
    assert (found.low, found.high) == pytest.approx(np.percentile(means, [2.5, 97.5]), abs=0.15)


def test_photos_on_which_both_agree_do_not_widen_it():
    ours, theirs = [True] * 30 + [False] * 10, [False] * 10 + [True] * 20 + [False] * 10
    few = Difference.of(ours, theirs)
    many = Difference.of(ours + [True] * 40, theirs + [True] * 40)
    assert many.points == few.points / 2
    assert many.high - many.low < few.high - few.low


@pytest.mark.parametrize(
    ("points", "ships", "sentence", "advice"),
    [
        (3.0, "finalist", "found a better network", "seed.pt is trial 7"),
        (-3.0, "rival", "found nothing as good", "seed.pt is 64 px"),
        (0.5, "finalist", "no network that is better than its best rival beyond chance", "rival.pt is"),
        (-3.0, "finalist", "found nothing as good", "64 px, which the test images favor: prefer it"),
        (3.0, "rival", "found a better network", "trial 7, which the test images favor: prefer it"),
    ],
)  # fmt: skip
def test_what_is_advised_agrees_with_the_figures(points, ships, sentence, advice):
    verdict = Verdict(
        finalist=Score(name="trial 7", accuracy=0.8 + points / 100, latencies_ms=(1.0,), px=96),
        rival=Score(name="64 px", accuracy=0.8, latencies_ms=(0.9,), px=64),
        points=points, low=points - 1, high=points + 1, images=2485, ships=ships,
    )  # fmt: skip
    first, second = verdict.sentences()
    assert sentence in first
    assert "on 2,485 test images" in first
    assert advice in second


def trial(kind, accuracy, ms):
    latency = Latency.exactly(ms, Device("lab", "lab"))
    return Trial(
        index=0, kind=kind, batch=0, tokens=(), fingerprint=kind, seed=0, accuracy=accuracy,
        latencies=(latency,), reward=accuracy, params=1, madds=1, error=None,
        time={"train_s": 1.0},
    )  # fmt: skip


def test_a_finalist_over_the_target_is_not_compared_with_a_rival_within_it():
    """Or the verdict would advise to ship what is too slow."""
    plan = SimpleNamespace(targets_ms=(1.0,))
    finals = [trial("final", 0.9, 1.2), trial("rival", 0.8, 0.9)]
    assert conclusion._verdict(plan, finals, None, finals[1], metric=None) is None


def test_a_finalist_far_below_a_rival_that_won_is_not_called_as_good():
    rival, noise = trial("rival", 0.78, 1.05), Noise(2.9, between_seeds=0.5, pairs=2)
    far, near = trial("final", 0.64, 0.64), trial("final", 0.775, 0.9)
    assert faster_finalist([far, rival], rival, noise) is None
    assert faster_finalist([far, near, rival], rival, noise) == near
