"""Running statistics of short trainings."""

import pytest
import torch
from torch import nn

from nas.data.images import Dataset
from nas.training.batch_norm import retake_statistics, unbiased_statistics
from nas.training.recipe import Recipe
from nas.training.train import train


def test_the_first_steps_are_averaged_without_the_initial_values() -> None:
    norm = nn.BatchNorm2d(2, momentum=0.1)
    batches = torch.randn(5, 8, 2, 3, 3, generator=torch.Generator().manual_seed(0)) * 0.01 + 4
    with unbiased_statistics(norm) as before_step:
        for step, batch in enumerate(batches):
            before_step(step)
            norm(batch)
    torch.testing.assert_close(norm.running_mean, batches.mean((0, 1, 3, 4)))
    torch.testing.assert_close(norm.running_var, batches.var((1, 3, 4)).mean(0))


def test_own_momentum_takes_over_and_is_put_back() -> None:
    norm = nn.BatchNorm2d(2, momentum=0.2)
    momenta, settled = [], []
    with unbiased_statistics(norm) as before_step:
        for step in range(8):
            settled.append(before_step(step))
            momenta.append(norm.momentum)
        before_step(0)
    assert momenta == [1, 1 / 2, 1 / 3, 1 / 4, 0.2, 0.2, 0.2, 0.2]
    assert norm.momentum == 0.2
    assert settled == [False] * 4 + [True] * 4  # torch.compile waits for that


@pytest.mark.parametrize(
    ("from_scratch", "new_statistics", "forgotten"),
    [(True, None, True), (False, None, False), (False, True, True), (True, False, False)],
)
def test_a_short_training_forgets_the_initial_variance(
    small_dataset: Dataset, from_scratch: bool, new_statistics: bool | None, forgotten: bool
) -> None:
    convolution, norm = nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4)
    nn.init.constant_(convolution.weight, 1e-4)  # the variance behind it is some 1e-6, not 1
    module = nn.Sequential(
        convolution, norm, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)
    )
    recipe = Recipe(steps=5, batch_size=16, learning_rate=1e-9, threads=1)
    how = {"from_scratch": from_scratch, "new_statistics": new_statistics}
    train(module, small_dataset, recipe, seed=0, **how)
    assert (norm.running_var.max().item() < 1e-3) is forgotten
    assert norm.momentum == 0.1


def test_statistics_are_retaken_as_plain_averages() -> None:
    norm = nn.BatchNorm2d(2, momentum=0.2)
    norm.running_mean.fill_(9.0)
    batches = torch.randn(3, 8, 2, 3, 3, generator=torch.Generator().manual_seed(0)) + 4
    retake_statistics(norm, batches)
    torch.testing.assert_close(norm.running_mean, batches.mean((0, 1, 3, 4)))
    torch.testing.assert_close(norm.running_var, batches.var((1, 3, 4)).mean(0))
    assert norm.momentum == 0.2
    assert not norm.training
