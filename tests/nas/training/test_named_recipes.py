"""Recipes by name and from files."""

import pytest

from nas.training.named_recipes import NAMES, read_recipe
from nas.training.recipe import Exponential, Recipe, RMSProp
from search_spaces import InputError


def test_proxy_is_the_default():
    assert read_recipe("proxy") == Recipe()


@pytest.mark.parametrize("name", NAMES)
def test_each_can_be_read_and_shortened(name):
    assert read_recipe(name).total_steps(10_000) > 0
    short = read_recipe(name, {"steps": 3})
    assert (short.steps, short.epochs, short.min_steps) == (3, None, None)


def test_the_papers():
    paper = read_recipe("paper")
    assert paper.optimizer == RMSProp(decay=0.9, momentum=0.9, epsilon=0.002)
    assert paper.schedule == Exponential(factor=0.99, every_epochs=3)
    assert paper.peak_rate == pytest.approx(0.1 / 4)
    assert (paper.weight_decay, paper.dropout, paper.ema_decay) == (1e-5, 0.2, 0.9999)
    assert (paper.batch_norm_decay, paper.normalization) == (0.99, "inception")
    # 5 epochs of warm-up
    assert paper.warmup_fraction * 600 == pytest.approx(5, abs=0.05)


def test_a_file_begins_with_a_recipe(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("base: paper\nsteps: 20\nbatch_size: 512\n")
    mine = read_recipe(path)
    assert (mine.steps, mine.epochs, mine.batch_size) == (20, None, 512)
    assert mine.peak_rate == pytest.approx(0.1 / 8)
    path.write_text("learning_rate: 0.01\n")
    assert read_recipe(path) == Recipe(learning_rate=0.01)


def test_a_file_changes_single_keys_of_its_base(tmp_path):
    paper, path = read_recipe("paper"), tmp_path / "mine.yaml"
    path.write_text("base: paper\naugment: {cutmix: 1.0}\noptimizer: {momentum: 0.8}\n")
    mine = read_recipe(path)
    assert mine.augment == paper.augment.model_copy(update={"cutmix": 1.0})
    assert mine.optimizer == paper.optimizer.model_copy(update={"momentum": 0.8})
    path.write_text("base: paper\noptimizer: {name: sgd}\nschedule: cosine\n")
    assert read_recipe(path) == paper.model_copy(
        update={
            "optimizer": Recipe(optimizer="sgd").optimizer,
            "schedule": Recipe(schedule="cosine").schedule,
        }
    )
    finetune = read_recipe("finetune")
    path.write_text("base: finetune\noptimizer: {momentum: 0.95}\n")
    assert finetune.optimizer.name == "sgd"
    assert read_recipe(path).optimizer == finetune.optimizer.model_copy(update={"momentum": 0.95})
    path.write_text("base: photos\nmin_steps: 2000\n")
    assert (read_recipe(path).epochs, read_recipe(path).min_steps) == (40, 2000)
    assert read_recipe(path, {"steps": 9}).min_steps is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("- 1\n", "expected keys and values, got list"),
        ("learning_rate: fast\n", "learning_rate"),
        ("optimizer: lion\n", "optimizer"),
        ("optimizer: {name: rmsprop, decays: 1}\n", "decays"),
        ("epochs: 1\nsteps: 2\n", "give epochs or steps, got both"),
        ("steps: 10\nmin_steps: 20\n", "min_steps is for a length in epochs"),
        ("ema_decay: 0.9\naverage_fraction: 0.5\n", "give ema_decay or average_fraction, got both"),
    ],
)
def test_wrong_files(tmp_path, text, expected):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=expected):
        read_recipe(path)
