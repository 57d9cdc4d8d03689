"""Learning rates and moving averages: equal to torch's and to the published formulas, step for step."""

import math

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR, OneCycleLR

from nas.training.optimization.averaging import MovingWeights, ema_decay
from nas.training.optimization.schedule import rate_factor
from nas.training.recipe import Cosine, Exponential, Recipe


def factors(recipe, total, epoch_steps):
    return [rate_factor(recipe, s, total=total, epoch_steps=epoch_steps) for s in range(total)]


def torchs(scheduler, total):
    """The rates that a scheduler of torch gives."""
    rates = []
    for _ in range(total):
        rates.append(scheduler.optimizer.param_groups[0]["lr"])
        scheduler.optimizer.step()
        scheduler.step()
    return rates


def optimizer(rate=1.0):
    return torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=rate)


@pytest.mark.parametrize("warmup", [0.1, 0.3])
def test_one_cycle_is_torchs(warmup):
    total = 50
    recipe = Recipe(steps=total, warmup_fraction=warmup)
    scheduler = OneCycleLR(
        optimizer(),
        max_lr=1.0,
        total_steps=total,
        pct_start=(warmup * (total - 1) + 1) / total,
        cycle_momentum=False,
        final_div_factor=1e5 / 25,
    )
    assert factors(recipe, total, 10) == pytest.approx(torchs(scheduler, total), abs=1e-9)


@pytest.mark.parametrize("final", [0.0, 0.1])
def test_cosine_is_torchs(final):
    recipe = Recipe(steps=40, schedule=Cosine(final=final), warmup_fraction=0)
    scheduler = CosineAnnealingLR(optimizer(), T_max=40, eta_min=final)
    assert factors(recipe, 40, 10) == pytest.approx(torchs(scheduler, 40), abs=1e-9)


def test_cosine_begins_after_its_warmup():
    found = factors(Recipe(steps=50, schedule="cosine", warmup_fraction=0.2), 50, 10)
    assert found[:10] == pytest.approx([step / 10 for step in range(1, 11)])
    expected = [(1 + math.cos(math.pi * step / 40)) / 2 for step in range(40)]
    assert found[10:] == pytest.approx(expected)


def test_the_papers_decay_is_tensorflows_staircase():
    """decayed = rate * 0.99 ^ floor(step / decay_steps), as tf.train.exponential_decay."""
    recipe = Recipe(steps=900, schedule=Exponential(), warmup_fraction=0)
    found = factors(recipe, 900, 100)
    assert found == pytest.approx([0.99 ** (step // 300) for step in range(900)])


def test_the_average_is_tensorflows():
    """As tf.train.ExponentialMovingAverage with num_updates: decay min(decay, (1 + t) / (10 + t))."""
    draw = torch.Generator().manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    average, expected = MovingWeights(module, 0.9), None
    values = [p.detach().clone().double() for p in (*module.parameters(), module[1].running_mean)]
    expected = values
    for step in range(60):
        with torch.no_grad():
            for value in (*module.parameters(), module[1].running_mean):
                value.add_(torch.randn(value.shape, generator=draw))
            module[1].num_batches_tracked += 1
        average.add(module)
        decay = min(0.9, (1 + step) / (10 + step))
        new = [p.detach().double() for p in (*module.parameters(), module[1].running_mean)]
        expected = [decay * old + (1 - decay) * now for old, now in zip(expected, new, strict=True)]
    network = average.network([], device=torch.device("cpu"))
    found = (*network.parameters(), network[1].running_mean)
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.allclose(ours.double(), theirs, atol=1e-5)
    assert network[1].num_batches_tracked == 60


def test_the_decay_rises_to_its_limit():
    decays = [ema_decay(t, 0.99) for t in range(2000)]
    assert decays[0] == pytest.approx(0.1)
    assert decays == sorted(decays)
    assert decays[-1] == 0.99
