"""A training that is interrupted and resumed has the uninterrupted one's weights, bit for bit."""

import pytest
import torch
from torch import nn

from nas.training.order import FirstPart
from nas.training.recipe import Recipe
from nas.training.teacher import Teacher
from nas.training.train import Diverged, train
from nas.training_runs.keeping import StateKeeper
from search_spaces import InputError
from tests.nas.training.test_train import tiny

RECIPES = {
    "adamw": {},
    "sgd and cosine": {"optimizer": "sgd", "schedule": "cosine", "learning_rate": 0.05},
    "rmsprop, moving average": {
        "optimizer": "rmsprop",
        "schedule": "exponential",
        "learning_rate": 0.01,
        "ema_decay": 0.9,
    },
    "mean of the last weights": {"average_fraction": 0.7},
    "mixed and cropped": {
        "augment": {
            "crop_area": 0.3,
            "mixup": 0.2,
            "cutmix": 1.0,
            "policy": "trivialaugment",
            "hue": 0.1,
            "erase_probability": 0.5,
        }
    },
    "the classifier first": {"head_fraction": 0.3, "body_rate": 0.1, "clip_norm": 1.0},
}


class Stopped(BaseException):
    """Stands for a `kill -9`: nothing catches it."""


def stop_at(step):
    def look(at):
        if at.step >= step:
            raise Stopped

    return look


def trained(dataset, recipe, *, keeper=None, on_progress=None, **options):
    module = tiny()
    train(module, dataset, recipe, seed=3, keeper=keeper, on_progress=on_progress, **options)
    return module.state_dict()


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("settings", RECIPES.values(), ids=RECIPES)
def test_resumed_equals_uninterrupted(small_dataset, tmp_path, settings):
    recipe = Recipe.model_validate({"steps": 12, "batch_size": 16, "threads": 1, **settings})
    whole = trained(small_dataset, recipe)
    for step in (4, 9):
        with pytest.raises(Stopped):
            trained(small_dataset, recipe, keeper=StateKeeper(tmp_path), on_progress=stop_at(step))
    resumed = trained(small_dataset, recipe, keeper=StateKeeper(tmp_path))
    assert same(whole, resumed)


def test_evaluations_change_nothing(small_dataset, tmp_path):
    recipe = Recipe(steps=12, batch_size=16, threads=1, average_fraction=0.7)
    whole = trained(small_dataset, recipe)
    seen = trained(small_dataset, recipe, keeper=StateKeeper(tmp_path), evaluate_every=2)
    assert same(whole, seen)


def test_resuming_in_the_first_part(small_dataset, tmp_path):
    recipe = Recipe(steps=12, batch_size=16, threads=1)
    first = FirstPart(small_dataset.val, 7)
    whole = trained(small_dataset, recipe, first=first)
    with pytest.raises(Stopped):
        trained(
            small_dataset,
            recipe,
            first=first,
            keeper=StateKeeper(tmp_path, minutes=0),
            on_progress=stop_at(6),
        )
    assert same(whole, trained(small_dataset, recipe, first=first, keeper=StateKeeper(tmp_path)))


def test_a_teacher_is_resumed_too(small_dataset, tmp_path):
    teacher = Teacher(
        tiny(seed=9, width=12).eval(), px=16, mean=(0.5,) * 3, std=(0.25,) * 3, weight=0.7
    )
    recipe = Recipe(steps=10, batch_size=16, threads=1)
    whole = trained(small_dataset, recipe, teacher=teacher)
    assert not same(whole, trained(small_dataset, recipe))
    with pytest.raises(Stopped):
        trained(
            small_dataset,
            recipe,
            teacher=teacher,
            keeper=StateKeeper(tmp_path),
            on_progress=stop_at(6),
        )
    assert same(
        whole, trained(small_dataset, recipe, teacher=teacher, keeper=StateKeeper(tmp_path))
    )


class Explodes(nn.Module):
    """A network whose loss is NaN once, at one step."""

    def __init__(self, at, times):
        super().__init__()
        self.body, self.at, self.times, self.calls = tiny(), at, times, 0

    def forward(self, x):
        self.calls += self.training
        logits = self.body(x)
        if self.training and self.calls >= self.at and self.times > 0:
            self.times -= 1
            return logits * float("nan")
        return logits


def test_a_diverged_training_goes_back_once_at_half_the_rate(small_dataset, tmp_path):
    recipe = Recipe(steps=12, batch_size=16, threads=1)
    steps = []
    module = Explodes(at=9, times=1)
    result = train(
        module,
        small_dataset,
        recipe,
        seed=0,
        keeper=StateKeeper(tmp_path),
        on_progress=lambda at: steps.append(at.step),
    )
    assert torch.isfinite(torch.tensor(result.loss))
    assert steps == sorted(steps[: steps.index(8) + 1]) + steps[steps.index(8) + 1 :]
    assert all(torch.isfinite(value).all() for value in module.state_dict().values())


def test_a_training_that_diverges_twice_ends(small_dataset, tmp_path):
    recipe = Recipe(steps=12, batch_size=16, threads=1)
    module = Explodes(at=9, times=100)
    with pytest.raises(Diverged, match=r"learning_rate 0\.002: use a lower rate"):
        train(module, small_dataset, recipe, seed=0, keeper=StateKeeper(tmp_path))


def test_before_the_first_state_it_goes_back_to_the_start(small_dataset, tmp_path, caplog):
    recipe = Recipe(steps=12, batch_size=16, threads=1)
    module = Explodes(at=2, times=1)
    result = train(module, small_dataset, recipe, seed=0, keeper=StateKeeper(tmp_path))
    assert result.slowed
    assert "going on from step 0 at half of the rate" in caplog.text
    calm = Explodes(at=99, times=0)
    half = Recipe(steps=12, batch_size=16, threads=1, learning_rate=recipe.learning_rate / 2)
    assert not train(calm, small_dataset, half, seed=0).slowed
    assert same(calm.state_dict(), module.state_dict())


def test_the_last_step_is_kept_before_the_test_images_are_read(small_dataset, tmp_path):
    recipe = Recipe(steps=12, batch_size=16, threads=1, ema_decay=0.9)
    keeper = StateKeeper(tmp_path)
    module = tiny()
    result = train(module, small_dataset, recipe, seed=3, keeper=keeper)
    again = tiny()
    assert StateKeeper(tmp_path).load()["step"] == 12
    resumed = train(again, small_dataset, recipe, seed=3, keeper=StateKeeper(tmp_path))
    assert same(module.state_dict(), again.state_dict())
    assert (resumed.accuracy, resumed.loss) == (result.accuracy, result.loss)
    assert resumed.last_accuracy == result.last_accuracy


def test_without_a_keeper_it_ends_at_once(small_dataset):
    module = Explodes(at=2, times=1)
    with pytest.raises(Diverged):
        train(module, small_dataset, Recipe(steps=12, batch_size=16, threads=1), seed=0)


def test_a_full_disk_leaves_the_state_before(small_dataset, tmp_path, monkeypatch):
    recipe = Recipe(steps=12, batch_size=16, threads=1)
    with pytest.raises(Stopped):
        trained(small_dataset, recipe, keeper=StateKeeper(tmp_path), on_progress=stop_at(6))
    before = (tmp_path / "state.pt").read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("nas.atomic_files.os.fsync", full)
    with pytest.raises(InputError, match="No space left on device: free disk space"):
        trained(small_dataset, recipe, keeper=StateKeeper(tmp_path))
    assert (tmp_path / "state.pt").read_bytes() == before
    assert not list(tmp_path.glob("*.part"))


def test_a_damaged_state_is_told(tmp_path):
    (tmp_path / "state.pt").write_bytes(b"PK\x03\x04 torn")
    with pytest.raises(InputError, match=r"state\.pt.*remove the file to train from the start"):
        StateKeeper(tmp_path).load()
