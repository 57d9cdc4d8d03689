"""Training and evaluation of small networks."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nas.data.images import ArraySplit, Dataset
from nas.training.evaluate import evaluate
from nas.training.optimization.optimizer import make_optimizer, zero_residual_branches
from nas.training.recipe import Augment, Recipe
from nas.training.train import Diverged, Progress, train
from search_spaces.errors import InputError

SHORT = Recipe(steps=6, batch_size=16, threads=1)
# Shifted images need more steps than a test has.
QUICK = Recipe(
    steps=120, batch_size=64, threads=1, learning_rate=1e-2, augment=Augment(pad_fraction=0)
)


def tiny(classes: int = 3, *, seed: int = 0, width: int = 8) -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(3, width, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, 2 * width, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(2 * width),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Dropout(0.1),
            nn.Linear(2 * width, classes),
        )


def weights_after(dataset: Dataset, *, seed: int, recipe: Recipe = SHORT) -> list[Tensor]:
    module = tiny()
    train(module, dataset, recipe, seed=seed)
    return list(module.state_dict().values())


def test_the_same_seed_gives_the_same_weights(small_dataset: Dataset) -> None:
    first, again, other = (weights_after(small_dataset, seed=seed) for seed in (1, 1, 2))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first, other, strict=True))


def test_the_callers_generator_threads_and_mode(small_dataset: Dataset) -> None:
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    module = tiny()
    train(module, small_dataset, SHORT, seed=5)
    assert torch.equal(state, torch.get_rng_state())
    assert torch.get_num_threads() == threads
    assert not module.training


def test_the_global_generator_does_not_decide(small_dataset: Dataset) -> None:
    first = weights_after(small_dataset, seed=1)
    torch.rand(7)
    again = weights_after(small_dataset, seed=1)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


def test_a_small_network_learns_quickly(fashion: Dataset) -> None:
    result = train(tiny(10, width=16), fashion, QUICK, seed=0)
    assert result.accuracy > 0.6
    assert result.loss < np.log(10)  # that of guessing evenly
    assert result.images_per_s == pytest.approx(120 * 64 / result.train_s)


def test_the_result_is_that_of_evaluating_val(small_dataset: Dataset) -> None:
    module = tiny()
    result = train(module, small_dataset, SHORT, seed=0)
    score = evaluate(module, small_dataset.val, mean=small_dataset.mean, std=small_dataset.std)
    assert (result.accuracy, result.loss) == (score.accuracy, pytest.approx(score.loss))


@pytest.mark.parametrize("steps", [3, 30])
def test_divergence_raises(small_dataset: Dataset, steps: int) -> None:
    recipe = Recipe(steps=steps, batch_size=16, learning_rate=1e30, warmup_fraction=0)
    with pytest.raises(Diverged, match="learning_rate 1e\\+30") as error:
        train(tiny(), small_dataset, recipe, seed=0)
    assert "\n" not in str(error.value)


def test_a_batch_larger_than_train_is_refused(small_dataset: Dataset) -> None:
    with pytest.raises(InputError, match="batch_size is 128"):
        train(tiny(), small_dataset, Recipe(steps=1), seed=0)


def test_progress(small_dataset: Dataset) -> None:
    told: list[Progress] = []
    recipe = SHORT.model_copy(update={"steps": 7})
    result = train(tiny(), small_dataset, recipe, seed=0, evaluate_every=3, on_progress=told.append)
    assert [progress.step for progress in told] == [1, 2, 3, 4, 5, 6, 7]
    evaluated = [progress.step for progress in told if progress.accuracy is not None]
    assert evaluated == [3, 6, 7]
    assert told[-1].accuracy == result.accuracy
    assert told[-1].train_loss == result.train_loss


def test_evaluating_on_the_way_does_not_change_the_weights(small_dataset: Dataset) -> None:
    module = tiny()
    train(module, small_dataset, SHORT, seed=1, evaluate_every=2)
    expected = weights_after(small_dataset, seed=1)
    assert all(
        torch.equal(a, b) for a, b in zip(module.state_dict().values(), expected, strict=True)
    )


def test_progress_may_stop_the_training(small_dataset: Dataset) -> None:
    def stop(_: Progress) -> None:
        raise KeyboardInterrupt

    threads = torch.get_num_threads()
    with pytest.raises(KeyboardInterrupt):
        train(tiny(), small_dataset, SHORT, seed=0, on_progress=stop)
    assert torch.get_num_threads() == threads


class Fixed(nn.Module):
    """Says the class that the red channel of the first pixel encodes."""

    def forward(self, images: Tensor) -> Tensor:
        guess = (images[:, 0, 0, 0] * 255).round().long()
        return 10.0 * nn.functional.one_hot(guess, 4).float()


@pytest.mark.parametrize("batch_size", [1, 3, 5, 256])
def test_accuracy_and_loss_counted_by_hand(batch_size: int) -> None:
    guesses, labels = np.array([0, 1, 2, 3, 0]), np.array([0, 1, 1, 3, 2])
    images = np.zeros((5, 3, 2, 2), np.uint8)
    images[:, 0, 0, 0] = guesses
    score = evaluate(
        Fixed(), ArraySplit(images, labels), mean=(0, 0, 0), std=(1, 1, 1), batch_size=batch_size
    )
    assert score.accuracy == 3 / 5
    right = np.log(1 + 3 * np.exp(-10))
    assert score.loss == pytest.approx((3 * right + 2 * (right + 10)) / 5)


class Large(nn.Module):
    """Needs too much memory for more than two images."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.sizes = Fixed(), []

    def forward(self, images: Tensor) -> Tensor:
        self.sizes.append(len(images))
        if len(images) > 2:
            raise MemoryError
        return self.inner(images)


def test_evaluation_halves_a_batch_that_does_not_fit() -> None:
    guesses, labels = np.arange(14) % 4, np.arange(14) % 3
    images = np.zeros((14, 3, 2, 2), np.uint8)
    images[:, 0, 0, 0] = guesses
    module = Large()
    score = evaluate(
        module, ArraySplit(images, labels), mean=(0, 0, 0), std=(1, 1, 1), batch_size=9
    )
    assert score.accuracy == (guesses == labels).mean()
    assert module.sizes == [9, 4, 2, 2, 2, 2, 1, 2, 2, 1]


@pytest.mark.parametrize("mode", [True, False])
def test_evaluation_puts_the_mode_back(small_dataset: Dataset, mode: bool) -> None:
    module = tiny().train(mode)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    evaluate(module, small_dataset.val, mean=small_dataset.mean, std=small_dataset.std)
    assert module.training is mode
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())


def marked() -> nn.Sequential:
    module = tiny()
    module[4].residual_last = True
    return module


def test_marked_norms_are_zeroed_and_no_others() -> None:
    module = marked()
    assert zero_residual_branches(module) == 1
    assert module[4].weight.count_nonzero() == 0
    assert module[1].weight.count_nonzero() == 8


@pytest.mark.parametrize(("from_scratch", "zeroed"), [(True, True), (False, False)])
def test_inherited_weights_keep_their_branches(
    small_dataset: Dataset, from_scratch: bool, zeroed: bool
) -> None:
    module = marked()
    recipe = Recipe(steps=1, batch_size=16, learning_rate=1e-9)
    train(module, small_dataset, recipe, seed=0, from_scratch=from_scratch)
    assert (module[4].weight.abs().max().item() < 1e-3) is zeroed


def test_only_weights_of_layers_are_decayed() -> None:
    decayed, free = make_optimizer(tiny(), Recipe(weight_decay=0.5)).param_groups
    assert (decayed["weight_decay"], free["weight_decay"]) == (0.5, 0.0)
    assert {p.ndim for p in decayed["params"]} == {2, 4}
    assert {p.ndim for p in free["params"]} == {1}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("autocast", [False, True])
def test_a_gpu_learns_too(fashion: Dataset, autocast: bool) -> None:
    recipe = QUICK.model_copy(update={"autocast": "float16" if autocast else False})
    result = train(tiny(10, width=16), fashion, recipe, seed=0, device="cuda")
    assert result.accuracy > 0.6
