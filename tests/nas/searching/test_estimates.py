"""Under noise the best reading is a lucky one: the model's estimates choose better."""

import random
from dataclasses import replace
from functools import partial

from latency import Device, Latency
from nas.engine.trial import Trial
from nas.searching.results.estimates import LEAST_TRIALS, Estimate, estimates, finalists
from nas.searching.reward import Reward

ARITIES = (3, 3, 3, 3, 3, 3)
REWARD = partial(Reward(), target_ms=[2.0])
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
            accuracy=accuracy, latencies=(Latency.exactly(1.0, LAB),), reward=accuracy, params=1, madds=1,
            error=None, time={},
        )  # fmt: skip


def test_an_estimate_is_nearer_to_the_truth_than_the_reading():
    gains, chosen = [], []
    for seed in range(10):
        trials = list(noisy_trials(60, noise=0.05, seed=seed))
        told = estimates(ARITIES, trials)
        truth = [true_accuracy(trial.tokens) for trial in trials]
        by_reading = sum(abs(t.accuracy - true) for t, true in zip(trials, truth, strict=True))
        assert len(told) >= len(trials) - 2  # none of what reads far below the others
        by_model = sum(
            abs((told[t.index].accuracy if t.index in told else t.accuracy) - true)
            for t, true in zip(trials, truth, strict=True)
        )
        gains.append(by_model / by_reading)
        best = finalists(trials, targets_ms=[2.0], reward=REWARD, estimates=told)
        lucky = finalists(trials, targets_ms=[2.0], reward=REWARD, estimates={})
        chosen.append(true_accuracy(best[0].tokens) - true_accuracy(lucky[0].tokens))
    assert max(gains) < 0.8
    assert sum(gains) / len(gains) < 0.6
    assert sum(chosen) > 0.0


def test_without_noise_the_readings_stand():
    trials = list(noisy_trials(40, noise=0.0, seed=0))
    told = estimates(ARITIES, trials)
    assert all(abs(told[t.index].accuracy - t.accuracy) < 2e-3 for t in trials)


def test_readings_far_below_the_others_keep_their_order():
    """The model counts them all as equally bad, but they may be the only ones within a target."""
    trials = list(noisy_trials(40, noise=0.01, seed=0))
    for place, accuracy in enumerate((0.10, 0.30, 0.20)):
        latency = Latency.exactly(0.5, LAB)
        trials[place] = replace(trials[place], accuracy=accuracy, latencies=(latency,))
    told = estimates(ARITIES, trials)
    assert not {0, 1, 2} & set(told)
    assert set(told) == set(range(3, 40))
    best = finalists(trials, targets_ms=[0.7], reward=REWARD, estimates=told)
    assert [trial.index for trial in best[:3]] == [1, 2, 0]


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


def test_within_the_target_accuracy_ranks_and_above_it_the_reward():
    """A faster network has the higher reward, but the winner is the most accurate one within."""
    first, *_ = noisy_trials(1, noise=0.0, seed=0)
    accuracies_ms = [(0.70, 1.9), (0.69, 0.5), (0.80, 2.5), (0.82, 9.0), (0.71, 2.0), (0.99, 1.0)]
    trials = [
        replace(
            first, index=index, fingerprint=str(index), accuracy=accuracy,
            latencies=(Latency.exactly(ms, LAB),), reward=REWARD(accuracy, [ms]),
        )
        for index, (accuracy, ms) in enumerate(accuracies_ms)
    ]  # fmt: skip
    trials[5] = replace(trials[5], accuracy=None, reward=0.0, error="diverged")
    assert trials[1].reward > trials[0].reward
    ranked = finalists(trials, targets_ms=[2.0], reward=REWARD, estimates={})
    assert [trial.index for trial in ranked] == [4, 0, 1, 2, 3]
    told = {index: Estimate(accuracy, 0.01) for index, accuracy in enumerate([0.7, 0.75, 0.6, 0.9])}
    ranked = finalists(trials, targets_ms=[2.0], reward=REWARD, estimates=told)
    assert [trial.index for trial in ranked] == [1, 4, 0, 3, 2]
