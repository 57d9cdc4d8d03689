"""The mean of a training's last weights: what comes back, and what it leaves as it was."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from nas.data.images import ArraySplit, Dataset
from nas.searching.presets import make_config
from nas.training.evaluate import evaluate
from nas.training.recipe import Augment, Recipe
from nas.training.train import Diverged, Progress, train
from search_spaces.errors import InputError

STEPS = 10
PLAIN = Recipe(steps=STEPS, batch_size=16, threads=1)
AVERAGED = PLAIN.model_copy(update={"average_fraction": 0.4})


def tiny() -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Dropout(0.2),
            nn.Linear(8, 3),
        )


def weights_on_the_way(dataset: Dataset, recipe: Recipe) -> list[dict[str, Tensor]]:
    """The state after each step; progress of so short a training is told after every one."""
    module, kept = tiny(), []

    def keep(_: Progress) -> None:
        kept.append({name: value.clone() for name, value in module.state_dict().items()})

    train(module, dataset, recipe, seed=1, on_progress=keep)
    assert len(kept) == STEPS
    return kept


def equal(first: nn.Module, second: nn.Module) -> bool:
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize(("fraction", "last"), [(0.4, 4), (0.25, 2), (1.0, 10)])
def test_it_is_the_mean_of_the_last_weights(
    small_dataset: Dataset, fraction: float, last: int
) -> None:
    steps = weights_on_the_way(small_dataset, PLAIN)[-last:]
    module = tiny()
    recipe = PLAIN.model_copy(update={"average_fraction": fraction})
    result = train(module, small_dataset, recipe, seed=1)
    for name, value in module.named_parameters():
        mean = torch.stack([step[name].double() for step in steps]).mean(dim=0)
        assert torch.allclose(value.double(), mean, atol=1e-6)
    assert not module.training
    score = evaluate(module, small_dataset.val, mean=small_dataset.mean, std=small_dataset.std)
    assert (result.accuracy, result.loss) == (score.accuracy, pytest.approx(score.loss))


def test_batch_norm_has_the_statistics_of_the_mean_weights(small_dataset: Dataset) -> None:
    # Every batch is the whole of train and nothing changes the images, so the statistics have one value.
    assert isinstance(small_dataset.train, ArraySplit)
    unchanged = Augment(flip=False, pad_fraction=0)
    recipe = AVERAGED.model_copy(update={"batch_size": 48, "augment": unchanged})
    module = tiny()
    train(module, small_dataset, recipe, seed=1)
    conv, norm = module[0], module[1]
    pixels = torch.from_numpy(small_dataset.train.images).double() / 255
    shape = (1, 3, 1, 1)
    mean, std = (torch.tensor(v).view(shape) for v in (small_dataset.mean, small_dataset.std))
    hidden = functional.conv2d((pixels - mean) / std, conv.weight.double(), padding=1)
    assert torch.allclose(norm.running_mean.double(), hidden.mean((0, 2, 3)), atol=1e-5)
    assert torch.allclose(norm.running_var.double(), hidden.var((0, 2, 3)), rtol=1e-4)


@pytest.mark.parametrize("fraction", [0.0, 0.1])
def test_nothing_or_one_step_to_average_changes_nothing(
    small_dataset: Dataset, fraction: float
) -> None:
    plain, other = tiny(), tiny()
    expected = train(plain, small_dataset, PLAIN, seed=1)
    recipe = PLAIN.model_copy(update={"average_fraction": fraction})
    result = train(other, small_dataset, recipe, seed=1)
    assert equal(plain, other)
    assert (result.accuracy, result.loss) == (expected.accuracy, expected.loss)


def test_the_same_seed_gives_the_same_mean(small_dataset: Dataset) -> None:
    first, again = tiny(), tiny()
    for module in (first, again):
        train(module, small_dataset, AVERAGED, seed=1)
    assert equal(first, again)


def test_evaluating_on_the_way_changes_nothing(small_dataset: Dataset) -> None:
    expected, module = tiny(), tiny()
    told: list[Progress] = []
    train(expected, small_dataset, AVERAGED, seed=1)
    result = train(
        module, small_dataset, AVERAGED, seed=1, evaluate_every=1, on_progress=told.append
    )
    assert equal(expected, module)
    assert [progress.accuracy is not None for progress in told] == [True] * STEPS
    assert told[-1].accuracy == result.accuracy


def test_evaluations_before_the_average_are_of_the_weights_then(small_dataset: Dataset) -> None:
    told: dict[float, list[float | None]] = {}
    for recipe in (PLAIN, AVERAGED):
        readings = told[recipe.average_fraction] = []
        train(
            tiny(),
            small_dataset,
            recipe,
            seed=1,
            evaluate_every=1,
            on_progress=lambda progress, kept=readings: kept.append(progress.accuracy),
        )
    assert told[0.0][:6] == told[0.4][:6]


def test_the_callers_generator_and_the_norms_momentum_stay(small_dataset: Dataset) -> None:
    state, module = torch.get_rng_state(), tiny()
    train(module, small_dataset, AVERAGED, seed=1)
    assert torch.equal(state, torch.get_rng_state())
    assert module[1].momentum == 0.1


def test_weights_keep_their_memory_format(small_dataset: Dataset) -> None:
    module = tiny()
    train(module, small_dataset, AVERAGED, seed=1)
    assert module[0].weight.is_contiguous(memory_format=torch.channels_last)


def test_inherited_weights_are_averaged_too(small_dataset: Dataset) -> None:
    module = tiny()
    before = {name: value.clone() for name, value in module.named_parameters()}
    still = AVERAGED.model_copy(update={"learning_rate": 1e-12})
    train(module, small_dataset, still, seed=1, from_scratch=False)
    for name, value in module.named_parameters():
        assert torch.allclose(value, before[name], atol=1e-7)


def test_divergence_raises(small_dataset: Dataset) -> None:
    recipe = AVERAGED.model_copy(update={"learning_rate": 1e30, "warmup_fraction": 0.0})
    with pytest.raises(Diverged, match="learning_rate"):
        train(tiny(), small_dataset, recipe, seed=0)


def test_a_longer_recipe_averages_the_same_part() -> None:
    assert [AVERAGED.longer(factor).averaged_steps(10 * factor) for factor in (1, 4)] == [4, 16]


@pytest.mark.parametrize("bad", [-0.1, 1.1, float("nan"), "some"])
def test_a_part_that_is_none_is_refused_in_one_line(bad: object) -> None:
    with pytest.raises(InputError, match=r"recipe\.average_fraction") as error:
        make_config(overrides={"recipe": {"average_fraction": bad}})
    assert "\n" not in str(error.value)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("autocast", [False, True])
def test_on_a_gpu(small_dataset: Dataset, autocast: bool) -> None:
    module = tiny()
    recipe = AVERAGED.model_copy(update={"autocast": autocast})
    result = train(module, small_dataset, recipe, seed=1, device="cuda")
    assert np.isfinite(result.loss)
    assert all(value.device.type == "cuda" for value in module.state_dict().values())
