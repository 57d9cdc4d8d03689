"""Parts of a batch, patience, the classifier alone, other layer settings."""

import pytest
import torch
from torch import nn

from nas.tasks import task_of
from nas.training.optimization.optimizer import head_parameters
from nas.training.recipe import Recipe
from nas.training.train import train
from search_spaces import REFERENCES
from search_spaces.network import build
from tests.nas.drawn_scenes import drawn_data
from tests.nas.training.test_train import tiny


def plain():
    """A network without batch norm, which sees the parts of a batch."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(72, 3)
        )


def trained(dataset, module, **settings):
    recipe = Recipe(**{"steps": 6, "batch_size": 16, "threads": 1, **settings})
    return train(module, dataset, recipe, seed=0)


def test_parts_of_a_batch_give_its_gradient(small_dataset):
    whole, parts = plain(), plain()
    # SGD: AdamW would divide rounding by rounding where a gradient is almost 0.
    settings = {"optimizer": "sgd", "learning_rate": 0.05}
    first = trained(small_dataset, whole, **settings)
    second = trained(small_dataset, parts, accumulate=3, **settings)
    for one, other in zip(whole.parameters(), parts.parameters(), strict=True):
        assert torch.allclose(one, other, atol=1e-6)
    assert first.train_loss == pytest.approx(second.train_loss, abs=1e-5)


def test_no_part_has_a_single_image(small_dataset):
    seen = []
    module = plain()
    module.register_forward_pre_hook(lambda _, given: seen.append(len(given[0])))
    trained(small_dataset, module, batch_size=13, accumulate=4, steps=1)
    assert seen[:4] == [4, 3, 3, 3]


def test_patience_ends_a_training_that_does_not_improve(small_dataset):
    seen = []
    recipe = Recipe(epochs=50, batch_size=16, threads=1, patience=3, learning_rate=0.05)
    module = tiny()
    result = train(module, small_dataset, recipe, seed=0, evaluate_every=3, on_progress=seen.append)
    evaluated = {at.step: at.accuracy for at in seen if at.accuracy is not None}
    last = max(evaluated)
    assert last < 150
    steps = [at.step for at in seen]
    assert steps == sorted(set(steps))
    assert result.best is not None
    assert last == result.best.step + 9
    assert result.accuracy == max(evaluated.values()) == evaluated[result.best.step]
    state = module.state_dict()
    assert all(torch.equal(state[name], value) for name, value in result.best.weights.items())


def test_without_patience_the_last_weights_are_taken(small_dataset):
    recipe = Recipe(epochs=8, batch_size=16, threads=1, learning_rate=0.05)
    module = tiny()
    result = train(module, small_dataset, recipe, seed=0, evaluate_every=3)
    assert result.best is not None
    assert result.best.accuracy >= result.accuracy


def test_the_body_rests_while_the_classifier_trains(small_dataset):
    module = tiny()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    recipe = Recipe(steps=6, batch_size=16, threads=1, head_fraction=0.99, ema_decay=None)
    steps = round(0.99 * 6)
    assert steps == 6
    train(module, small_dataset, recipe, seed=0, from_scratch=False)
    head = {id(p) for p in head_parameters(module)}
    for name, parameter in module.named_parameters():
        assert torch.equal(parameter, before[name]) == (id(parameter) not in head)
        assert parameter.requires_grad
    assert torch.equal(module[1].running_mean, before["1.running_mean"])


def test_frozen_statistics_stay_while_everything_is_trained(small_dataset):
    module = tiny()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    recipe = Recipe(steps=2, batch_size=16, threads=1, frozen_norms=True)
    train(module, small_dataset, recipe, seed=0, from_scratch=False)
    after = module.state_dict()
    assert torch.equal(after["1.running_mean"], before["1.running_mean"])
    assert torch.equal(after["1.running_var"], before["1.running_var"])
    assert not any(torch.equal(p, before[name]) for name, p in module.named_parameters())


def test_a_heads_own_statistics_are_never_frozen():
    classifier = REFERENCES["mobilenet_v3_small"](width=0.35, resolution=64)
    data = drawn_data(px=64, train=8, test=2)
    spec = task_of("detect").headed(classifier, classes=len(data.classes))
    module = build(spec)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    recipe = Recipe(steps=2, batch_size=4, threads=1, frozen_norms=True, head_fraction=0.5)
    train(module, data, recipe, seed=0, from_scratch=False)
    for name, value in module.state_dict().items():
        if name.endswith("running_mean"):
            of_head = name.startswith("head.") and not name.startswith("head.conv")
            assert torch.equal(value, before[name]) == (not of_head), name


def test_the_bodys_rate_scales_its_steps(small_dataset):
    starts, moved = tiny(), []
    for rate in (1.0, 0.1):
        module = tiny()
        settings = {"optimizer": "sgd", "learning_rate": 0.01, "weight_decay": 0}
        recipe = Recipe(
            steps=1, batch_size=16, threads=1, body_rate=rate, label_smoothing=0, **settings
        )
        train(module, small_dataset, recipe, seed=0, from_scratch=False)
        moved.append((module[0].weight - starts[0].weight, module[-1].weight - starts[-1].weight))
    assert torch.allclose(moved[1][0], 0.1 * moved[0][0], rtol=1e-3, atol=1e-7)
    assert torch.allclose(moved[1][1], moved[0][1], rtol=1e-3, atol=1e-7)


def test_settings_of_layers_are_restored(small_dataset):
    module = tiny()
    recipe = Recipe(steps=2, batch_size=16, threads=1, dropout=0.9, batch_norm_decay=0.99)
    seen = []
    train(
        module,
        small_dataset,
        recipe,
        seed=0,
        from_scratch=False,
        on_progress=lambda _: seen.append((module[8].p, module[1].momentum)),
    )
    assert seen[0] == (0.9, pytest.approx(0.01))
    assert (module[8].p, module[1].momentum) == (0.1, 0.1)
