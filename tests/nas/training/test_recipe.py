"""The recipe: its length, its limits, its schedule, and that reading it is cheap."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from nas.training.optimization.schedule import one_cycle
from nas.training.recipe import Augment, Recipe


def test_reading_a_recipe_loads_no_torch() -> None:
    code = "import sys, nas.training.recipe; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_epochs_and_steps_exclude_each_other() -> None:
    with pytest.raises(ValidationError, match="got both: epochs=1, steps=2"):
        Recipe(epochs=1, steps=2)
    assert Recipe().epochs == 5
    assert Recipe(steps=3).epochs is None
    assert Recipe.model_validate(Recipe(steps=3).model_dump()) == Recipe(steps=3)
    assert Recipe.model_validate(Recipe().model_dump()) == Recipe()


@pytest.mark.parametrize(
    "bad",
    [
        {"epochs": 0},
        {"steps": 0},
        {"batch_size": 1},
        {"learning_rate": 0},
        {"warmup_fraction": 1},
        {"augment": {"pad_fraction": 0.6}},
        {"augment": {"rotate": 10}},
        {"momentum": 0.9},
    ],
)
def test_values_out_of_range_and_unknown_names_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Recipe.model_validate(bad)


@pytest.mark.parametrize("model", [Recipe, Augment])
def test_every_field_is_described(model: type[Recipe]) -> None:
    assert all(field.description for field in model.model_fields.values())


@pytest.mark.parametrize(("epochs", "steps"), [(1, 7), (2, 14), (0.5, 4), (0.01, 1)])
def test_total_steps_count_whole_batches(epochs: float, steps: int) -> None:
    assert Recipe(epochs=epochs, batch_size=128).total_steps(1000) == steps


@given(total=st.integers(1, 500), warmup=st.floats(0, 0.99))
def test_one_cycle_rises_then_falls(total: int, warmup: float) -> None:
    factors = [one_cycle(step, total, warmup_fraction=warmup) for step in range(total)]
    assert all(0 < factor <= 1 for factor in factors)
    top = factors.index(max(factors))
    assert factors[: top + 1] == sorted(factors[: top + 1])
    assert factors[top:] == sorted(factors[top:], reverse=True)
    if total > 1 and top < total - 1:
        assert factors[-1] == pytest.approx(1e-5)
