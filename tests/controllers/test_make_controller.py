"""Controllers by name: lookup, options, plug-ins, and the cost of importing."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from controllers import CONTROLLERS, check_controller, make_controller
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


PLUGIN = """
from controllers.uniform import Uniform


class Patient(Uniform):
    def __init__(self, arities, *, seed, patience=3):
        super().__init__(arities, seed=seed)
        self.patience = patience
"""


@pytest.fixture
def _installed_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed module with its metadata, on the import path."""
    (tmp_path / "patient_search.py").write_text(PLUGIN)
    info = tmp_path / "patient_search-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: patient-search\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[mobile_nas.controllers]\n"
        "patient = patient_search:Patient\n"
        "uniform = patient_search:Patient\n"  # a name that is taken
    )
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("_installed_plugin")
def test_plugin_by_entry_point() -> None:
    patient: Any = make_controller("patient", (2, 3), seed=0, options={"patience": 5})
    assert type(patient).__module__ == "patient_search"
    assert (patient.arities, patient.patience) == ((2, 3), 5)
    check_controller(lambda arities, seed: make_controller("patient", arities, seed=seed))


@pytest.mark.usefixtures("_installed_plugin")
def test_plugin_options_are_checked_too() -> None:
    with pytest.raises(InputError, match=r"unknown option tempo .* choose from patience"):
        make_controller("patient", (2,), seed=0, options={"tempo": 1})


@pytest.mark.usefixtures("_installed_plugin")
def test_plugins_are_listed_after_the_built_in() -> None:
    with pytest.raises(InputError, match=r"rnn, uniform, evolution, screened, patient"):
        make_controller("yours", (2,), seed=0)


@pytest.mark.usefixtures("_installed_plugin")
def test_plugin_does_not_take_a_built_in_name() -> None:
    assert type(make_controller("uniform", (2,), seed=0)) is Uniform


def test_importing_does_not_load_torch() -> None:
    code = (
        "import sys, controllers; controllers.make_controller('uniform', (2,), seed=0);"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
