"""REINFORCE: its gradient against closed forms, and learning on toy problems."""

import itertools
import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from controllers.controller import Controller, Tokens
from controllers.policy import RnnPolicy
from controllers.reinforce import Reinforce, policy_loss
from controllers.uniform import Uniform

BETA = 0.3
MNASNET_ARITIES = (4, 2, 2, 3, 3, 3) * 7


def test_expected_gradient_of_reward_plus_entropy() -> None:
    """Sum over all sequences of p * estimate = grad (E[R] + beta * H), by exact enumeration."""
    policy = RnnPolicy((2, 3), torch.Generator().manual_seed(0), hidden=8, init_range=0.8).double()
    parameters = list(policy.parameters())
    sequences = torch.tensor(list(itertools.product(range(2), range(3))))
    reward = torch.tensor([0.1, 0.9, 0.3, 0.7, 0.2, 0.5], dtype=torch.float64)

    log_prob, _ = policy.log_prob(sequences)
    p = log_prob.exp()
    objective = (p * reward).sum() - BETA * (p * log_prob).sum()
    exact = torch.autograd.grad(objective, parameters)

    expected = [torch.zeros_like(parameter) for parameter in parameters]
    for sequence, r, weight in zip(sequences, reward, p.detach(), strict=True):
        loss = policy_loss(
            *policy.log_prob(sequence[None]),
            advantage=r[None] - 0.4,  # any baseline that does not depend on the sequence
            entropy_weight=BETA,
            past_entropy=1.1,
        )
        for total, part in zip(expected, torch.autograd.grad(loss, parameters), strict=True):
            total -= weight * part
    for estimated, true in zip(expected, exact, strict=True):
        torch.testing.assert_close(estimated, true)


def test_bandit_gradient() -> None:
    """On one softmax, d E[R] / d logit_k = p_k * (R_k - E[R])."""
    logits = torch.tensor([0.2, -0.4, 0.9], dtype=torch.float64, requires_grad=True)
    reward = torch.tensor([1.0, 0.3, 0.6], dtype=torch.float64)
    log_p = logits.log_softmax(0)
    p = log_p.detach().exp()
    # Each arm's loss weighted by how often it is drawn; policy_loss averages, hence the factor 3.
    loss = policy_loss(3 * p * log_p, torch.zeros(3).double(), advantage=reward, entropy_weight=0.0)
    (gradient,) = torch.autograd.grad(loss, [logits])
    torch.testing.assert_close(-gradient, p * (reward - (p * reward).sum()))


def spy_on_advantages(controller: Reinforce, monkeypatch: pytest.MonkeyPatch) -> list[list[float]]:
    seen: list[list[float]] = []

    def loss(log_prob: Tensor, entropy: Tensor, *, advantage: Tensor, **rest: float) -> Tensor:
        seen.append(advantage.tolist())
        return policy_loss(
            log_prob, entropy, advantage=advantage, entropy_weight=rest["entropy_weight"]
        )

    monkeypatch.setattr("controllers.reinforce.policy_loss", loss)
    return seen


def test_baseline_uses_past_batches_only(monkeypatch: pytest.MonkeyPatch) -> None:
    controller = Reinforce((2, 2), seed=0, warmup=2)
    advantages = spy_on_advantages(controller, monkeypatch)
    controller.tell([((0, 0), 0.4), ((1, 1), 0.6)])  # the first baseline: 0.5, nothing learned
    assert advantages == []
    controller.tell([((0, 0), 0.6), ((1, 1), 0.6)])
    # With this batch in the baseline, the second advantage would differ from the first or both be
    # smaller than the distance to the first batch's mean.
    spread = 1.4826 * 0.1
    assert advantages == [pytest.approx([0.1 / spread, 0.1 / spread])]


def test_a_long_first_batch_is_learned_from(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with trials of another search: the first two set the baseline, the rest are compared with it."""
    controller = Reinforce((2, 2), seed=0, warmup=2)
    advantages = spy_on_advantages(controller, monkeypatch)
    controller.tell([((0, 0), 0.4), ((1, 1), 0.6), ((0, 1), 0.6), ((1, 0), 0.5)])
    assert advantages == [pytest.approx([0.1 / (1.4826 * 0.1), 0.0])]


def test_a_failed_trial_moves_the_policy_little() -> None:
    """One 0.0 among scores of 0.7 moves the policy no more than an ordinary bad trial."""

    def after(bad_score: float) -> list[list[float]]:
        controller = Reinforce((3, 3), seed=0)
        noise = random.Random(0)
        for batch in range(10):
            scored = [(t, 0.7 + noise.gauss(0, 0.02)) for t in controller.ask(10)]
            if batch == 5:
                scored[0] = (scored[0][0], bad_score)
            controller.tell(scored)
        return controller.choice_probabilities()

    np.testing.assert_allclose(after(0.0), after(0.6), atol=1e-6)


@pytest.mark.parametrize("scale", [0.01, 1.0, 100.0])
def test_bandit_converges_to_the_best_arm_in_any_unit(scale: float) -> None:
    controller = Reinforce((4,), seed=0)
    noise = random.Random(0)
    means = (0.70, 0.68, 0.74, 0.71)
    for _ in range(60):
        asked = controller.ask(10)
        controller.tell([(t, scale * (means[t[0]] + noise.gauss(0, 0.01))) for t in asked])
    assert controller.choice_probabilities()[0][2] > 0.8


def test_learns_dependent_choices() -> None:
    """Only matching pairs score: marginals are useless, so the RNN must condition on earlier choices."""
    controller = Reinforce((3, 3), seed=0, entropy_weight=1.0)
    for _ in range(150):
        controller.tell([((a, b), 0.7 + 0.1 * (a == b)) for a, b in controller.ask(10)])
    matching = [a == b for a, b in controller.ask(200)]
    assert sum(matching) > 150


def true_score(tokens: Tokens, *, weights: list[list[float]], pairs: list[np.ndarray]) -> float:
    alone = sum(weight[token] for weight, token in zip(weights, tokens, strict=True))
    together = sum(
        pair[a, b] for pair, (a, b) in zip(pairs, itertools.pairwise(tokens), strict=True)
    )
    return 0.7 + 0.004 * float(alone + 0.5 * together)


def search_noisily(controller: Controller, seed: int) -> tuple[float, float]:
    """Return the true score of the best observed of 300 noisy trials, and the mean of the last 50."""
    rng = np.random.default_rng(seed)
    weights = [rng.normal(size=arity).tolist() for arity in MNASNET_ARITIES]
    pairs = [rng.normal(size=shape) for shape in itertools.pairwise(MNASNET_ARITIES)]
    scores: list[float] = []
    observed: list[float] = []
    for _ in range(30):
        asked = controller.ask(10)
        scores += [true_score(tokens, weights=weights, pairs=pairs) for tokens in asked]
        observed += [score + rng.normal(0, 0.03) for score in scores[-10:]]
        controller.tell(list(zip(asked, observed[-10:], strict=True)))
    return scores[int(np.argmax(observed))], float(np.mean(scores[-50:]))


@pytest.mark.slow
@pytest.mark.long
def test_beats_uniform_on_a_noisy_mnasnet_sized_space() -> None:
    seeds = range(4)
    learned = np.array([search_noisily(Reinforce(MNASNET_ARITIES, seed=s), s) for s in seeds])
    lucky = np.array([search_noisily(Uniform(MNASNET_ARITIES, seed=s), s) for s in seeds])
    gain = learned - lucky  # (seeds, 2)
    # One pick under noise may tie on a seed; what is asked at the end may not.
    assert gain[:, 0].mean() > 0.01
    assert gain[:, 1].min() > 0.02


@pytest.mark.parametrize("batches", [0, 1, 3, 7], ids="{} batches".format)
def test_state_round_trip_through_a_file(batches: int, tmp_path: Path) -> None:
    """Before, within and after the warm-up of 10, to the last bit of every weight."""
    controller = Reinforce((3, 2, 4), seed=0)
    play(controller, batches)
    torch.save(controller.state_dict(), tmp_path / "state.pt")
    restored = Reinforce((3, 2, 4), seed=1)
    play(restored, 5)
    restored.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert restored.choice_probabilities() == controller.choice_probabilities()
    assert play(restored, 6) == play(controller, 6)
    left, right = (c.state_dict()["policy"] for c in (controller, restored))
    assert all(torch.equal(left[name], right[name]) for name in left)


def test_loaded_state_stays_as_it_was() -> None:
    """One state in memory can restore any number of controllers."""
    original = Reinforce((3, 2, 4), seed=0)
    play(original, 5)
    state = original.state_dict()
    runs = []
    for seed in (1, 2):
        restored = Reinforce((3, 2, 4), seed=seed)
        restored.load_state_dict(state)
        play(restored, 6)
        runs.append(restored.state_dict()["policy"])
    assert all(torch.equal(runs[0][name], runs[1][name]) for name in runs[0])


def test_entropy_is_compared_with_that_of_the_last_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """As for rewards, the baseline is from before: less variance without bias."""
    compared_with: list[float] = []
    met: list[float] = []

    def loss(log_prob: Tensor, entropy: Tensor, **rest: Any) -> Tensor:
        compared_with.append(rest["past_entropy"])
        met.append(entropy.mean().item())
        return policy_loss(log_prob, entropy, **rest)

    monkeypatch.setattr("controllers.reinforce.policy_loss", loss)
    controller = Reinforce((3, 2), seed=0, warmup=2)
    for _ in range(4):
        controller.tell([((0, 0), 0.4), ((2, 1), 0.6)])
    assert compared_with == pytest.approx([math.log(6), *met[:-1]])
    assert len(set(met)) == 3


def play(controller: Reinforce, batches: int) -> list[Tokens]:
    history: list[Tokens] = []
    for _ in range(batches):
        asked = controller.ask(4)
        controller.tell([(tokens, 0.6 + 0.01 * sum(tokens)) for tokens in asked])
        history += asked
    return history


def test_thread_count_changes_nothing() -> None:
    def weights(threads: int) -> dict[str, Tensor]:
        torch.set_num_threads(threads)
        controller = Reinforce(MNASNET_ARITIES, seed=0)
        for _ in range(5):
            controller.tell([(t, 0.7 + 0.01 * sum(t)) for t in controller.ask(32)])
        policy: dict[str, Tensor] = controller.state_dict()["policy"]
        return policy

    before = torch.get_num_threads()
    try:
        one, four = weights(1), weights(4)
        assert torch.get_num_threads() == 4  # the caller's setting is put back
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(one[name], four[name]) for name in one)


def test_global_generators_are_left_alone() -> None:
    before = torch.get_rng_state(), random.getstate()
    controller = Reinforce((2, 3), seed=0, warmup=2)
    for _ in range(3):
        controller.tell([(t, float(sum(t))) for t in controller.ask(4)])
    controller.choice_probabilities()
    assert torch.equal(torch.get_rng_state(), before[0])
    assert random.getstate() == before[1]


def test_choice_probabilities_match_what_is_asked() -> None:
    controller = Reinforce((3, 2), seed=0)
    for _ in range(20):
        controller.tell([(t, 0.7 + 0.01 * t[0]) for t in controller.ask(10)])
    estimated = controller.choice_probabilities()[0]
    asked = np.array(controller.ask(4000))[:, 0]
    assert estimated == pytest.approx(np.bincount(asked, minlength=3) / 4000, abs=0.03)
