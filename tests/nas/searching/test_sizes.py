"""Finalists train for the size at which they are deployed."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from latency import open_device
from nas.checkpoints.torch_files import state_of
from nas.data.images import ArraySplit, Dataset
from nas.engine.job import Job
from nas.run_search import search
from nas.searching.from_scratch.proxy_task import ProxyTraining
from nas.training.evaluate import evaluate
from nas.training.recipe import Recipe
from nas.training.train import FirstPart, train
from search_spaces import REFERENCES, InputError, load_space
from search_spaces.network import build

SPEC = REFERENCES["mobilenet_v3_small"](width=0.35, resolution=48, classes=2)


def images(number, px):
    """Bright and dark noise; the same classes at every size."""
    rng = np.random.default_rng(number)
    labels = np.arange(number) % 2
    pixels = rng.normal(80 + 90 * labels[:, None, None, None], 40, (number, 3, px, px))
    return ArraySplit(pixels.clip(0, 255).astype(np.uint8), labels)


def data(px):
    return Dataset(
        name="noise", classes=("dark", "light"), train=images(64, px), val=images(24, px),
        test=images(24, px), resolution_px=px, mean=(0.5, 0.5, 0.5), std=(0.3, 0.3, 0.3),
    )  # fmt: skip


def job(kind):
    return Job(0, kind, 0, (0,), SPEC, seed=7)


def test_a_finalist_ends_at_the_deployed_size_and_is_read_there():
    small, large = data(32), data(48)
    training = ProxyTraining(
        small, large, Recipe(steps=8, batch_size=16), final_factor=2.0, deployed_part=0.5
    )
    trial, final = training(job("search")), training(job("final"))
    assert (trial.px, final.px) == (32, 48)
    network = build(SPEC)
    network.load_state_dict(state_of(final.weights))
    again = evaluate(network, large.val, mean=large.mean, std=large.std)
    assert final.accuracy == again.accuracy


@pytest.mark.parametrize("part", [0.25, 0.5, 1.0])
def test_the_last_part_of_the_steps_is_at_the_deployed_size(monkeypatch, part):
    small, large, sides = data(32), data(48), []

    class Watched(type(build(SPEC))):
        def forward(self, x):
            if self.training:
                sides.append(x.shape[-1])
            return super().forward(x)

    monkeypatch.setattr("search_spaces.network.Network", Watched)
    training = ProxyTraining(
        small, large, Recipe(steps=8, batch_size=16), final_factor=1.0, deployed_part=part
    )
    training(job("final"))
    deployed = round(8 * part)
    assert sides == [32] * (8 - deployed) + [48] * deployed


def test_statistics_are_of_the_deployed_size_alone():
    """One step at it: batch norm has that batch's own statistics, whatever came before."""
    bright, dark = data(32), data(32)
    dark = replace(dark, train=ArraySplit(dark.train.images // 8, dark.train.labels))
    network = build(SPEC, generator=torch.Generator().manual_seed(0))
    recipe = Recipe(steps=3, batch_size=64, learning_rate=1e-9, weight_decay=0)
    train(network, bright, recipe, seed=0, first=FirstPart(dark.train, 2))
    stem = next(m for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d))
    alone = build(SPEC, generator=torch.Generator().manual_seed(0))
    train(alone, bright, replace_steps(recipe, 1), seed=0)
    expected = next(m for m in alone.modules() if isinstance(m, torch.nn.BatchNorm2d))
    # The batch is all images; shifts and flips differ.
    assert torch.allclose(stem.running_mean, expected.running_mean, atol=0.05)
    assert torch.allclose(stem.running_var, expected.running_var, rtol=0.1)


def replace_steps(recipe, steps):
    return recipe.model_copy(update={"steps": steps})


def test_data_of_another_size_than_the_networks_is_refused(tmp_path):
    space = load_space("mnasnet", resolution=48, classes=2)

    def begin(**given):
        return search(
            space, controller=None, latency=open_device("madds:1"), target_ms=1.0,
            folder=tmp_path / "run", **given,
        )  # fmt: skip

    with pytest.raises(InputError, match=r"data has images of 32 px, .* deployed at 48 px"):
        begin(data=data(32))
    with pytest.raises(InputError, match="final_data has images of 32 px"):
        begin(data=data(48), final_data=data(32))
    assert not (tmp_path / "run").exists()
