"""TensorFlow's RMSProp: equal to timm's and to the published formula, step for step."""

import copy

import numpy as np
import pytest
import torch
from timm.optim import RMSpropTF
from torch import nn

from nas.training.optimization.rmsprop import TFRMSprop


def steps(optimizer, weights, gradients):
    """Return the weights after each step with given gradients."""
    seen = []
    for gradient in gradients:
        for weight, part in zip(weights, gradient, strict=True):
            weight.grad = part.clone()
        optimizer.step()
        seen.append([weight.detach().clone() for weight in weights])
    return seen


@pytest.fixture
def problem():
    draw = torch.Generator().manual_seed(0)
    weights = [nn.Parameter(torch.randn(3, 4, generator=draw)), nn.Parameter(torch.ones(5))]
    gradients = [[torch.randn(w.shape, generator=draw) for w in weights] for _ in range(20)]
    return weights, gradients


@pytest.mark.parametrize("decay", [0.0, 1e-2])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_timm_takes_the_same_steps(problem, decay, momentum):
    weights, gradients = problem
    theirs = copy.deepcopy(weights)
    settings = {"lr": 0.02, "momentum": momentum, "weight_decay": decay, "eps": 1e-3}
    mine = steps(TFRMSprop(weights, decay=0.9, **settings), weights, gradients)
    other = steps(RMSpropTF(theirs, alpha=0.9, **settings), theirs, gradients)
    for ours, reference in zip(mine, other, strict=True):
        for a, b in zip(ours, reference, strict=True):
            assert torch.allclose(a, b, rtol=1e-5, atol=1e-6)


def test_the_published_formula(problem):
    weights, gradients = problem
    value = weights[0].detach().numpy().astype(np.float64).copy()
    square, velocity = np.ones_like(value), np.zeros_like(value)
    optimizer = TFRMSprop(weights, lr=0.02, decay=0.9, momentum=0.9, eps=0.002)
    for ours, (gradient, _) in zip(steps(optimizer, weights, gradients), gradients, strict=True):
        g = gradient.numpy().astype(np.float64)
        square = 0.9 * square + 0.1 * g**2
        velocity = 0.9 * velocity + 0.02 * g / np.sqrt(square + 0.002)
        value = value - velocity
        assert np.allclose(ours[0].numpy(), value, rtol=1e-5, atol=1e-6)


def test_torchs_own_is_another(problem):
    weights, gradients = problem
    other = copy.deepcopy(weights)
    mine = steps(TFRMSprop(weights, lr=0.02), weights, gradients)
    torchs = steps(
        torch.optim.RMSprop(other, lr=0.02, alpha=0.9, momentum=0.9, eps=1e-3), other, gradients
    )
    assert not torch.allclose(mine[0][0], torchs[0][0], atol=1e-3)


def test_its_state_is_saved_and_loaded(problem):
    weights, gradients = problem
    copied = copy.deepcopy(weights)
    whole = steps(TFRMSprop(weights, lr=0.02), weights, gradients)
    first = TFRMSprop(copied, lr=0.02)
    steps(first, copied, gradients[:7])
    second = TFRMSprop(copied, lr=0.5)
    second.load_state_dict(first.state_dict())
    resumed = steps(second, copied, gradients[7:])
    assert all(torch.equal(a, b) for a, b in zip(whole[-1], resumed[-1], strict=True))


def test_parameters_without_a_gradient_stay(problem):
    weights, gradients = problem
    optimizer = TFRMSprop(weights, lr=0.02)
    weights[0].grad = gradients[0][0]
    before = weights[1].detach().clone()
    optimizer.step()
    assert torch.equal(weights[1], before)
