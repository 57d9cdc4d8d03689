"""Controllers by name: lookup, options, plug-ins, and what importing costs."""

import subprocess
import sys
from importlib.metadata import EntryPoint, EntryPoints

import pytest

import controllers
from controllers import CONTROLLERS, make_controller
from controllers.uniform import Uniform
from search_spaces.errors import InputError


def test_unknown_name_shows_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"unknown controller rmn: .*rnn, uniform, evolution"):
        make_controller("rmn", (2,), seed=0)


@pytest.mark.parametrize("name", CONTROLLERS)
def test_unknown_option_is_named(name: str) -> None:
    with pytest.raises(InputError, match=f"unknown option tempo of controller {name}"):
        make_controller(name, (2,), seed=0, options={"tempo": 1})


def test_unknown_option_shows_the_known_ones() -> None:
    with pytest.raises(InputError, match="population_size, sample_size"):
        make_controller("evolution", (2,), seed=0, options={"population": 1})


@pytest.mark.parametrize(
    ("name", "option", "value"),
    [
        ("rnn", "learning_rate", -1.0),
        ("rnn", "learning_rate", "fast"),
        ("rnn", "learning_rate", float("nan")),
        ("rnn", "entropy_weight", -0.1),
        ("rnn", "baseline_decay", 1.5),
        ("rnn", "advantage_clip", -1.0),
        ("rnn", "warmup", 0),
        ("rnn", "warmup", 2.5),
        ("rnn", "hidden", 0),
        ("rnn", "hidden", 2.5),
        ("rnn", "normalize", "yes"),
        ("rnn", "temperature", 0.0),
        ("rnn", "tanh_constant", -1.0),
        ("evolution", "population_size", 0),
        ("evolution", "population_size", 2.5),
        ("evolution", "sample_size", 0),
    ],
)
def test_bad_option_value_is_shown(name: str, option: str, value: object) -> None:
    with pytest.raises(InputError, match=f"option {option} .*{value}"):
        make_controller(name, (2,), seed=0, options={option: value})


@pytest.mark.parametrize("arities", [(), (2, 0), (-1,), (2.5,)])
@pytest.mark.parametrize("name", CONTROLLERS)
def test_bad_arities(name: str, arities: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="arities"):
        make_controller(name, arities, seed=0)


def test_plugin_by_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    plugin = EntryPoint(name="mine", value="controllers.uniform:Uniform", group=controllers.GROUP)
    monkeypatch.setattr(controllers, "entry_points", lambda *, group: EntryPoints([plugin]))
    assert isinstance(make_controller("mine", (2,), seed=0), Uniform)
    with pytest.raises(InputError, match="evolution, mine"):
        make_controller("yours", (2,), seed=0)


def test_importing_does_not_load_torch() -> None:
    code = (
        "import sys, controllers; controllers.make_controller('uniform', (2,), seed=0);"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
