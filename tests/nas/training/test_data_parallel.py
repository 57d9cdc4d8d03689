"""Several processes take the steps that one would."""

from typing import Any

import pytest
import torch
from torch import nn

from nas.checkpoints.torch_files import state_of
from nas.data.share import WHOLE, Share
from nas.engine.job import Job
from nas.engine.several_gpus import SeveralGpus
from nas.searching.from_scratch.proxy_task import ProxyTraining
from nas.tasks.augmentation.draws import Draws
from nas.training.data_parallel.layers import whole_batch_layers
from nas.training.data_parallel.processes import in_processes
from nas.training.evaluate import evaluate
from nas.training.recipe import Recipe
from nas.training.train import train
from search_spaces import REFERENCES
from tests.nas.image_sets import random_dataset
from tests.nas.training.processes import together

STEPS = 6
RECIPES = {
    "adamw": Recipe(steps=STEPS, batch_size=8),
    "accumulated": Recipe(steps=STEPS, batch_size=16, accumulate=2, optimizer="sgd"),
    "moving average, frozen body, crops": Recipe(
        steps=STEPS,
        batch_size=12,
        ema_decay=0.9,
        head_fraction=0.3,
        body_rate=0.5,
        clip_norm=1.0,
        augment={"crop_area": 0.3, "hue": 0.1, "erase_probability": 0.5, "brightness": 0.2},
    ),
    "mean of the last weights, policy": Recipe(
        steps=STEPS, batch_size=8, average_fraction=0.5, augment={"policy": "trivialaugment"}
    ),
}


def network(dropout: float = 0.3) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(3, 4, 3, bias=False),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Dropout(dropout),
            nn.Linear(4, 3),
        )


def trained(recipe: Recipe, share: Share) -> tuple[dict[str, torch.Tensor], Any]:
    module = network()
    result = train(module, random_dataset(), recipe, seed=3, share=share, evaluate_every=3)
    assert type(module[1]) is nn.BatchNorm2d
    assert not hasattr(module[1], "share")
    return module.state_dict(), result


def batch(dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(1)
    shape = (8, 4, 5, 3)
    inputs = 100 + 3 * torch.randn(shape, generator=draw, dtype=dtype)
    return inputs, torch.randn(shape, generator=draw, dtype=dtype)


def normalized(share: Share) -> dict[str, torch.Tensor]:
    """Outputs, gradients and statistics of batch norm for this process's part of a batch."""
    norm = nn.BatchNorm2d(4, dtype=torch.float64)
    with torch.no_grad():
        norm.weight.copy_(torch.arange(1.0, 5))
        norm.bias.copy_(torch.arange(4.0))
    inputs, gradient = (part[share.part(8)] for part in batch())
    inputs = inputs.clone().requires_grad_()
    with whole_batch_layers(norm, share):
        outputs = norm(inputs)
        outputs.backward(gradient)
    assert inputs.grad is not None
    return {
        "outputs": outputs.detach(),
        "of inputs": inputs.grad,
        "of weight": norm.weight.grad,
        "of bias": norm.bias.grad,
        "mean": norm.running_mean,
        "variance": norm.running_var,
        "batches": norm.num_batches_tracked,
    }


def several(share: Share) -> dict[str, Any]:
    torch.manual_seed(7)
    dropout = nn.Dropout(0.4)
    with whole_batch_layers(dropout, share):
        dropped = dropout(torch.ones(8 // share.world, 5))
    data = random_dataset(count=7)
    return {
        "norm": normalized(share),
        "dropped": dropped,
        "score": evaluate(
            network(), data.val, mean=data.mean, std=data.std, share=share, batch_size=4
        ),
        **{name: trained(recipe, share) for name, recipe in RECIPES.items()},
    }


@pytest.fixture(scope="module")
def two():
    return together(several)


@pytest.fixture(scope="module")
def one():
    return several(WHOLE)


def test_batch_norm_sees_the_whole_batch(two, one):
    whole = one["norm"]  # torch's own, in one process
    parts = [part["norm"] for part in two]
    for name in ("outputs", "of inputs"):
        torch.testing.assert_close(torch.cat([part[name] for part in parts]), whole[name])
    for name in ("of weight", "of bias"):  # each process has its images' part
        torch.testing.assert_close(parts[0][name] + parts[1][name], whole[name])
    for part in parts:
        for name in ("mean", "variance", "batches"):
            torch.testing.assert_close(part[name], whole[name])


def test_dropout_is_that_of_the_whole_batch(two, one):
    assert torch.equal(torch.cat([part["dropped"] for part in two]), one["dropped"])


def test_a_score_counts_all_images_once(two, one):
    for part in two:
        assert part["score"] == pytest.approx(one["score"])


@pytest.mark.parametrize("name", RECIPES)
def test_two_processes_train_as_one(two, one, name):
    (first, result), (second, _) = (part[name] for part in two)
    for key, value in first.items():
        assert torch.equal(value, second[key]), key
    if name == "accumulated":
        return  # batch norm sees other images together
    whole, alone = one[name]
    for key, value in whole.items():
        torch.testing.assert_close(first[key], value, rtol=1e-4, atol=1e-5, msg=key)
    assert result.accuracy == pytest.approx(alone.accuracy)
    assert result.loss == pytest.approx(alone.loss, rel=1e-4)
    assert result.train_loss == pytest.approx(alone.train_loss, rel=1e-4)


def test_a_job_on_several_devices_is_trained_as_on_one():
    spec = REFERENCES["mobilenet_v3_small"](width=0.35, resolution=32, classes=3)
    data = random_dataset(count=32, size_px=32)
    recipe = Recipe(steps=2, batch_size=16, optimizer="sgd", learning_rate=1e-4)
    job = Job(index=0, kind="final", batch=0, tokens=(), spec=spec, seed=5, latencies=())
    alone = ProxyTraining(data, data, recipe, final_factor=1, device="cpu")
    several = SeveralGpus(alone, ("cpu", "cpu"))
    (one, two) = (evaluate(job) for evaluate in (alone, several))
    assert two.accuracy == pytest.approx(one.accuracy, abs=1 / 32)
    ours, theirs = (state_of(outcome.weights) for outcome in (one, two))
    for name, value in ours.items():
        torch.testing.assert_close(theirs[name], value, rtol=5e-3, atol=5e-3, msg=name)


def failing(*_):
    raise ValueError("no such layer")


@pytest.mark.slow
def test_a_failing_process_ends_with_its_error():
    with pytest.raises(RuntimeError, match="ValueError: no such layer"):
        in_processes(failing, ["cpu", "cpu"])


@pytest.mark.parametrize("draw", ["uniform", "coins", "signed"])
def test_draws_of_the_parts_are_those_of_the_whole(draw):
    def drawn(count, share):
        return getattr(Draws(torch.Generator().manual_seed(2), count, share), draw)()

    parts = [drawn(4, Share(rank, 3)) for rank in range(3)]
    assert torch.equal(torch.cat(parts), drawn(12, WHOLE))
    assert torch.equal(
        torch.cat(
            [Draws(torch.Generator().manual_seed(2), 2, Share(r, 2)).below(9) for r in (0, 1)]
        ),
        Draws(torch.Generator().manual_seed(2), 4).below(9),
    )
