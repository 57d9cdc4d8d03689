"""The RNN policy against a step-by-step reference implementation and its own frequencies."""

import itertools

import pytest
import torch
from scipy import stats
from torch import Tensor
from torch.nn import functional

from controllers.policy import RnnPolicy

ARITIES = (2, 4, 1, 3)


def make_policy(**options: float) -> RnnPolicy:
    # A wide init: at +-0.1 all distributions are nearly uniform and would hide mistakes.
    generator = torch.Generator().manual_seed(0)
    return RnnPolicy(ARITIES, generator, hidden=16, init_range=0.8, **options).double()


def every_sequence(arities: tuple[int, ...]) -> Tensor:
    return torch.tensor(list(itertools.product(*map(range, arities))))


def reference(policy: RnnPolicy, tokens: list[int]) -> tuple[Tensor, Tensor]:
    """A single sequence, with the LSTM's equations written out (gates in torch's order i, f, g, o)."""
    weights = dict(policy.lstm.named_parameters())
    hidden = cell = torch.zeros(16, dtype=torch.float64)
    step_input: Tensor = policy.start
    log_prob, entropy = torch.zeros((), dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    for decision, token in enumerate(tokens):
        gates = (
            weights["weight_ih_l0"] @ step_input
            + weights["bias_ih_l0"]
            + weights["weight_hh_l0"] @ hidden
            + weights["bias_hh_l0"]
        )
        i, f, g, o = gates.chunk(4)
        cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
        hidden = o.sigmoid() * cell.tanh()
        logits = hidden @ policy.head_weight[decision] + policy.head_bias[decision, 0]
        logits = logits[: ARITIES[decision]]
        if policy.temperature:
            logits = logits / policy.temperature
        if policy.tanh_constant:
            logits = policy.tanh_constant * logits.tanh()
        probabilities = functional.softmax(logits, dim=0)
        log_prob = log_prob + probabilities[token].log()
        entropy = entropy - (probabilities * probabilities.log()).sum()
        step_input = policy.embeddings[decision, token]
    return log_prob, entropy


@pytest.mark.parametrize("options", [{}, {"temperature": 2.0, "tanh_constant": 1.5}])
def test_log_prob_agrees_with_reference(options: dict[str, float]) -> None:
    policy = make_policy(**options)
    sequences = every_sequence(ARITIES)
    log_prob, entropy = policy.log_prob(sequences)
    expected = [reference(policy, tokens) for tokens in sequences.tolist()]
    torch.testing.assert_close(log_prob, torch.stack([pair[0] for pair in expected]))
    torch.testing.assert_close(entropy, torch.stack([pair[1] for pair in expected]))


def test_log_prob_gradient_agrees_with_reference() -> None:
    policy = make_policy()
    tokens = [1, 3, 0, 2]
    fast = torch.autograd.grad(
        policy.log_prob(torch.tensor([tokens]))[0].sum(), list(policy.parameters())
    )
    slow = torch.autograd.grad(reference(policy, tokens)[0], list(policy.parameters()))
    for fast_part, slow_part in zip(fast, slow, strict=True):
        torch.testing.assert_close(fast_part, slow_part)


def test_probabilities_sum_to_one_and_entropy_is_theirs() -> None:
    log_prob, entropy = make_policy().log_prob(every_sequence(ARITIES))
    p = log_prob.exp()
    torch.testing.assert_close(p.sum(), torch.ones((), dtype=torch.float64))
    # Chain rule: the conditional entropies met along the way average to the joint entropy.
    torch.testing.assert_close((p * entropy).sum(), -(p * log_prob).sum())


def test_sampled_frequencies_match_probabilities() -> None:
    policy = make_policy()
    count = 20_000
    tokens, _ = policy.sample(count, generator=torch.Generator().manual_seed(1))
    sequences = every_sequence(ARITIES)
    expected = policy.log_prob(sequences)[0].detach().exp() * count
    observed = (tokens[:, None] == sequences).all(dim=2).sum(dim=0)
    assert expected.min() > 5  # or the chi-square approximation does not hold
    assert stats.chisquare(observed.numpy(), expected.numpy()).pvalue > 0.01


def test_sample_reports_the_probabilities_it_drew_from() -> None:
    policy = make_policy()
    tokens, probabilities = policy.sample(50, generator=torch.Generator().manual_seed(2))
    log_prob, _ = policy.log_prob(tokens)
    drawn = probabilities.gather(2, tokens[..., None])[..., 0].log().sum(dim=1)
    torch.testing.assert_close(drawn, log_prob.detach())
    assert probabilities[:, 0, 2:].max() == 0.0  # the first decision has two choices


def test_initial_weights_are_uniform_within_range() -> None:
    policy = RnnPolicy((4, 2), torch.Generator().manual_seed(0))
    weights = torch.cat([parameter.detach().flatten() for parameter in policy.parameters()])
    assert weights.abs().max() <= 0.1
    uniform = stats.uniform(loc=-0.1, scale=0.2)
    assert stats.kstest(weights[::50].numpy(), uniform.cdf).pvalue > 0.01


def test_global_generator_is_left_alone() -> None:
    before = torch.get_rng_state()
    policy = RnnPolicy((4, 2), torch.Generator().manual_seed(0))
    policy.sample(4, generator=torch.Generator().manual_seed(0))
    assert torch.equal(torch.get_rng_state(), before)
