"""The surrogate against independent closed forms and data of known noise."""

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal, norm

from controllers.baseline import MAD_TO_STD
from controllers.controller import Tokens
from controllers.kernel import PRIORS, Kernel, negative_log_posterior, one_hot
from controllers.surrogate import (
    CLIP,
    MOST_BEST,
    MOST_TRIALS,
    Readings,
    Surrogate,
    fit,
    recent_and_best,
)
from search_spaces.errors import InputError

ARITIES = (3, 2, 4)
WEIGHTS, SCALE, NOISE = (0.7, 0.1, 1.3), 1.4, 0.25
SPACE = list(itertools.product(*(range(arity) for arity in ARITIES)))
TRIED = SPACE[::3]
VALUES = [0.7 + 0.01 * sum(t) - 0.02 * t[0] * t[2] for t in TRIED]


def covariance(left: list[Tokens], right: list[Tokens]) -> np.ndarray:
    """The docstring's formula, entry by entry."""

    def entry(x: Tokens, other: Tokens) -> float:
        differing = sum(w for w, a, b in zip(WEIGHTS, x, other, strict=True) if a != b)
        return 1.0 + SCALE**2 * math.exp(-differing)

    return np.array([[entry(x, other) for other in right] for x in left])


def kernel() -> Kernel:
    return Kernel(
        ARITIES,
        torch.tensor(WEIGHTS, dtype=torch.float64),
        torch.tensor(SCALE, dtype=torch.float64),
        torch.tensor(NOISE, dtype=torch.float64),
    )


def test_estimate_is_the_closed_form() -> None:
    """Rasmussen & Williams, eq. 2.23 and 2.24, with matrices inverted outright."""
    model = Surrogate(kernel(), one_hot(TRIED, ARITIES), Readings.of_values(VALUES))
    mean, std = model.estimate(SPACE)
    centre, unit = np.mean(VALUES), np.std(VALUES)
    readings = covariance(TRIED, TRIED) + NOISE**2 * np.eye(len(TRIED))
    gain = covariance(SPACE, TRIED) @ np.linalg.inv(readings)
    expected = centre + unit * gain @ ((np.array(VALUES) - centre) / unit)
    left = covariance(SPACE, SPACE) - gain @ covariance(TRIED, SPACE)
    np.testing.assert_allclose(mean, expected, rtol=1e-4)
    np.testing.assert_allclose(std, unit * np.sqrt(np.diag(left)), rtol=1e-3)
    assert model.noise == pytest.approx(NOISE * unit)


def test_samples_have_the_mean_and_spread_of_the_estimate() -> None:
    model = Surrogate(kernel(), one_hot(TRIED, ARITIES), Readings.of_values(VALUES))
    mean, std = model.estimate(SPACE)
    drawn = model.sample(SPACE, 20_000, generator=torch.Generator().manual_seed(0)).numpy()
    np.testing.assert_allclose(drawn.mean(axis=1), mean, atol=0.04 * max(std))
    np.testing.assert_allclose(drawn.std(axis=1), std, rtol=0.03)


def test_posterior_equals_scipys() -> None:
    """Equal up to a constant, so compare differences between two settings."""
    readings = Readings.of_values(VALUES).standard
    rows = one_hot(TRIED, ARITIES)
    total, shares = sum(WEIGHTS), np.array(WEIGHTS) / sum(WEIGHTS) * len(WEIGHTS)
    logs = np.log([total, SCALE, NOISE, *shares])

    def ours(at: np.ndarray) -> float:
        return float(negative_log_posterior(torch.tensor(at), rows, readings, ARITIES))

    def scipys(noise: float) -> float:
        own = noise**2 * np.eye(len(TRIED))
        fits = multivariate_normal(cov=covariance(TRIED, TRIED) + own).logpdf(readings.numpy())
        return float(fits + norm(*PRIORS[2]).logpdf(math.log(noise)))

    other = logs.copy()
    other[2] = math.log(0.6)
    assert ours(other) - ours(logs) == pytest.approx(scipys(NOISE) - scipys(0.6), abs=1e-3)


def trials(
    count: int, truth: Callable[[np.ndarray], float], *, noise: float, seed: int = 0
) -> tuple[list[Tokens], list[float], list[float]]:
    """Return random sequences of 12 decisions with 3 choices, their true values, and readings."""
    rng = np.random.default_rng(seed)
    drawn = rng.integers(3, size=(count, 12))
    true = [truth(row) for row in drawn]
    return (
        [tuple(row) for row in drawn.tolist()],
        true,
        (true + rng.normal(0, noise, count)).tolist(),
    )


def additive(row: np.ndarray) -> float:
    return 0.7 + 0.02 * float(row[:6].sum())


@pytest.mark.parametrize("noise", [0.01, 0.05])
def test_noise_is_recovered(noise: float) -> None:
    tokens, _, values = trials(150, additive, noise=noise)
    assert fit((3,) * 12, tokens, values).noise == pytest.approx(noise, rel=0.3)


def test_irrelevant_decisions_change_the_estimate_little() -> None:
    tokens, _, values = trials(150, additive, noise=0.01)
    model = fit((3,) * 12, tokens, values)
    (at, relevant, irrelevant), _ = model.estimate([(1,) * 12, (2, *(1,) * 11), (*(1,) * 11, 2)])
    assert relevant - at == pytest.approx(0.02, abs=0.006)
    assert abs(irrelevant - at) < 0.004


def test_interactions_are_learned() -> None:
    """Only a pair matters: no sum of single effects could distinguish these."""
    tokens, _, values = trials(150, lambda row: 0.1 * float(row[0] == row[1]), noise=0.005)
    model = fit((3,) * 12, tokens, values)
    rest = (0,) * 10
    mean, _ = model.estimate([(0, 0, *rest), (0, 1, *rest), (2, 2, *rest), (2, 1, *rest)])
    assert min(mean[0], mean[2]) > max(mean[1], mean[3]) + 0.05


def test_estimate_chooses_better_than_one_lucky_reading() -> None:
    by_reading, by_estimate = [], []
    for seed in range(10):
        tokens, true, values = trials(200, additive, noise=0.05, seed=seed)
        mean, _ = fit((3,) * 12, tokens, values).estimate(tokens)
        by_reading.append(true[int(np.argmax(values))])
        by_estimate.append(true[int(np.argmax(mean))])
    assert np.mean(by_estimate) > np.mean(by_reading) + 0.02


def test_unit_does_not_matter() -> None:
    tokens, _, values = trials(40, additive, noise=0.02)
    fraction, percent = (
        fit((3,) * 12, tokens, [unit * value for value in values]).estimate(tokens[:5])[0]
        for unit in (1.0, 100.0)
    )
    np.testing.assert_allclose(np.array(percent) / 100, fraction, rtol=1e-6)


def test_a_failed_trial_is_clipped() -> None:
    values = [0.70, 0.72, 0.68, 0.71, 0.69, 0.0]
    assert pytest.approx(0.02965, abs=1e-5) == MAD_TO_STD * 0.02
    readings = Readings.of_values(values)
    least = readings.mean + readings.unit * float(readings.standard.min())
    # The lower median, as torch has it, and the lower median deviation from it.
    assert least == pytest.approx(0.69 - CLIP * MAD_TO_STD * 0.01)


@pytest.mark.parametrize(
    "values", [[0.5], [0.5, 0.5, 0.5], [0.0, 0.0, 0.7], [1e-9, 2e-9], [-1e5, 1e6]]
)
def test_few_or_equal_results(values: list[float]) -> None:
    tokens = TRIED[: len(values)]
    mean, std = fit(ARITIES, tokens, values).estimate(SPACE)
    assert np.isfinite(mean).all()
    assert np.isfinite(std).all()


@pytest.mark.parametrize("value", [0.1, 0.7, 1e6 / 3])
def test_equal_results_are_equal_whatever_their_rounding(value: float) -> None:
    readings = Readings.of_values([value] * 3)
    assert readings.unit == 1.0
    assert readings.standard.abs().max() < 1e-9


def test_a_failure_is_clipped_if_most_results_are_equal() -> None:
    readings = Readings.of_values([0.0, *[0.70] * 6, 0.69, 0.71, 0.72])
    spread = np.std([*[0.70] * 6, 0.69, 0.71, 0.72])
    assert readings.floor == pytest.approx(0.70 - CLIP * spread)
    assert (
        float(readings.standard.max() - readings.standard[1]) > 1.0
    )  # 0.1 if failures counted as 0


def test_one_repeated_sequence() -> None:
    """Its readings are averaged, and no matrix is singular."""
    values = [0.6, 0.8] * 20
    model = fit((2, 2), [(0, 1)] * 40 + [(1, 0)], [*values, 0.5])
    (mean, other), _ = model.estimate([(0, 1), (1, 0)])
    assert mean == pytest.approx(0.7, abs=0.02)
    assert other < mean


def test_many_trials_are_reduced_to_the_latest_and_the_best_earlier() -> None:
    trials = [((place % 2, place % 3), float(place == 3)) for place in range(3 * MOST_TRIALS)]
    counted = recent_and_best(trials)
    assert len(counted) == MOST_TRIALS
    assert counted[-(MOST_TRIALS - MOST_BEST) :] == trials[-(MOST_TRIALS - MOST_BEST) :]
    assert trials[3] in counted
    assert recent_and_best(trials[:MOST_TRIALS]) == trials[:MOST_TRIALS]


def test_a_good_network_is_not_forgotten() -> None:
    old = [((0, 0), 0.9)]
    new = [((a, 1), 0.1 * a) for a in range(2)] * MOST_TRIALS
    tokens, values = zip(*(old + new), strict=True)
    model = fit((2, 2), tokens, values)
    (mean, other), _ = model.estimate([(0, 0), (1, 0)])
    assert mean == pytest.approx(0.9, abs=0.1)
    assert mean > other


def test_failures_do_not_set_the_scale_even_if_most_fail() -> None:
    values = [0.0] * 30 + [0.68, 0.69, 0.70, 0.71, 0.72]
    standard = Readings.of_values(values).standard
    assert float(standard[-1] - standard[-5]) > 0.9  # of 0.1 if failures counted as 0
    assert Readings.of_values([-2.0, -1.0, -2.0, -3.0]).standard.std() > 0


def test_a_failed_optimization_returns_the_prior_means(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(*_: object) -> torch.Tensor:
        raise torch.linalg.LinAlgError("not positive-definite")

    monkeypatch.setattr("controllers.kernel.negative_log_posterior", fails)
    mean, std = fit(ARITIES, TRIED, [0.1 * n for n in range(len(TRIED))]).estimate(SPACE)
    assert np.isfinite(mean).all()
    assert np.isfinite(std).all()


def test_thread_count_changes_nothing() -> None:
    tokens, _, values = trials(120, additive, noise=0.02)
    before = torch.get_num_threads()
    try:
        estimates = []
        for threads in (1, 4):
            torch.set_num_threads(threads)
            estimates.append(fit((3,) * 12, tokens, values).estimate(tokens))
    finally:
        torch.set_num_threads(before)
    assert estimates[0] == estimates[1]


def test_bad_input() -> None:
    with pytest.raises(InputError, match="at least one trial"):
        fit((2,), [], [])
    with pytest.raises(InputError, match="must be finite"):
        fit((2,), [(0,)], [math.nan])
    with pytest.raises(InputError, match="token 2"):
        fit((2,), [(2,)], [0.5])
    with pytest.raises(InputError, match="token 2"):
        fit((2,), [(1,)], [0.5]).estimate([(2,)])
