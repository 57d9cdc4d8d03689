"""Under noise the best reading is a lucky one: the model's estimates choose better."""

import random
from dataclasses import replace

from latency import Device, Latency
from nas.estimates import LEAST_TRIALS, estimates
from nas.loop import finalists
from nas.trial import Trial

ARITIES = (3, 3, 3, 3, 3, 3)
LAB = Device("lab", "lab-1")


def true_accuracy(tokens):
    return 0.6 + 0.02 * sum(tokens)


def noisy_trials(count, *, noise, seed):
    draw = random.Random(seed)
    for index in range(count):
        tokens = tuple(draw.randrange(arity) for arity in ARITIES)
        accuracy = true_accuracy(tokens) + draw.gauss(0, noise)
        yield Trial(
            index=index, kind="search", batch=0, tokens=tokens, fingerprint=str(tokens), seed=0,
            accuracy=accuracy, latency=Latency.exactly(1.0, LAB), reward=accuracy, params=1, madds=1,
            error=None, time={},
        )  # fmt: skip


def test_an_estimate_is_nearer_to_the_truth_than_the_reading():
    gains, chosen = [], []
    for seed in range(10):
        trials = list(noisy_trials(60, noise=0.05, seed=seed))
        told = estimates(ARITIES, trials)
        truth = [true_accuracy(trial.tokens) for trial in trials]
        by_reading = sum(abs(t.accuracy - true) for t, true in zip(trials, truth, strict=True))
        by_model = sum(
            abs(told[t.index].accuracy - true) for t, true in zip(trials, truth, strict=True)
        )
        gains.append(by_model / by_reading)
        best = finalists(
            trials, targets_ms=[2.0], worth=lambda t, told=told: told[t.index].accuracy
        )
        lucky = finalists(trials, targets_ms=[2.0])
        chosen.append(true_accuracy(best[0].tokens) - true_accuracy(lucky[0].tokens))
    assert max(gains) < 0.8
    assert sum(gains) / len(gains) < 0.6
    assert sum(chosen) > 0.0


def test_without_noise_the_readings_stand():
    trials = list(noisy_trials(40, noise=0.0, seed=0))
    told = estimates(ARITIES, trials)
    assert all(abs(told[t.index].accuracy - t.accuracy) < 2e-3 for t in trials)


def test_too_few_trials_and_failed_ones_have_none():
    trials = list(noisy_trials(LEAST_TRIALS, noise=0.01, seed=0))
    assert estimates(ARITIES, trials[:-1]) == {}
    failed = replace(trials[0], accuracy=None, error="diverged")
    assert set(estimates(ARITIES, [failed, *trials[1:], replace(trials[0], index=99)])) == {
        *range(1, LEAST_TRIALS),
        99,
    }


def test_a_reading_that_is_told_again_is_no_further_evidence():
    """A network asked for ten times is trained once: its copies say nothing of its luck."""
    trials = list(noisy_trials(30, noise=0.05, seed=1))
    lucky = max(trials, key=lambda trial: trial.accuracy)
    copies = [replace(lucky, index=100 + copy) for copy in range(10)]
    told, alone = estimates(ARITIES, [*trials, *copies]), estimates(ARITIES, trials)
    assert told[lucky.index] == alone[lucky.index] == told[105]


def test_a_network_of_two_spellings_has_one_estimate():
    first, *others = noisy_trials(20, noise=0.05, seed=2)
    spelled = replace(first, index=50, tokens=tuple(2 - token for token in first.tokens))
    told = estimates(ARITIES, [first, *others, spelled])
    assert told[50] == told[first.index]
