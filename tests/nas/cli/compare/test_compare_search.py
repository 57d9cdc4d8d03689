"""`nas compare RUN`: what a search from a parent found beside its rivals."""

import json

import pytest

from nas.checkpoints.checkpoint import checkpoint_bytes
from nas.cli.main import search_main
from nas.cli.search import netadapt_rival
from nas.comparing.config import CompareConfig
from nas.comparing.contestant import read_contestants
from nas.engine.folder.run_folder import RunFolder
from tests.nas.cli.conftest import run
from tests.nas.small_parent import small_parent

CONFIG = """
recipe: {steps: 2, batch_size: 16}
parent: {recipe: {steps: 3, batch_size: 16}}
finals: {count: 1, repeats: 1, recipe: {steps: 4, batch_size: 16}}
"""

SEARCH = (
    "--data", "photos", "--device", "madds:1", "--workers", 0, "--config", "short.yaml",
    "--parent", "parent.pt", "--resolutions", "64,32", "--trials", 4, "--batch-size", 2,
    "--run-name", "one",
)  # fmt: skip

QUICK = ("--seeds", 2, "--rates", 1, "--workers", 0)


@pytest.fixture
def place(photos, tmp_path, monkeypatch):
    """A folder in which a search runs; `other.pt` has other classes."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "short.yaml").write_text(CONFIG)
    for name in ("parent.pt", "other.pt"):
        (tmp_path / name).write_bytes(checkpoint_bytes(small_parent()))
    return tmp_path


@pytest.fixture
def search(place, monkeypatch, capsys):
    return lambda *more: run(monkeypatch, capsys, *SEARCH, *more, command=search_main)


@pytest.fixture
def compare(monkeypatch, capsys):
    monkeypatch.setattr("nas.cli.compare.running.training_speed", lambda *_, **__: 500.0)
    return lambda *arguments: run(monkeypatch, capsys, "compare", *arguments)


def test_a_search_is_compared_with_all_of_its_rivals(place, search, compare, monkeypatch):
    monkeypatch.setattr(netadapt_rival, "NETADAPT_STEPS", 1)
    monkeypatch.setattr(netadapt_rival, "NETADAPT_DELTA", 0.4)
    status, _, err = search("--rival", "other.pt", "--with-netadapt")
    assert status == 0, err
    status, out, err = compare("runs/one", *QUICK, "--run-name", "c", "--json")
    assert status == 0, err
    document = json.loads(out)
    first, *rivals = document["networks"]
    recorded = json.loads((place / "runs/one/rivals.json").read_text())["rivals"]
    assert first["name"].startswith("trial ")
    assert first["name"].endswith(" of one")
    assert [one["name"] for one in rivals] == [one["name"] for one in recorded]
    assert [one["px"] for one in rivals] == [one["spec"]["resolution"] for one in recorded]
    assert all(one["seeds"] == [0, 1] and not one["errors"] for one in document["networks"])

    config = CompareConfig.read(place / "runs/c")
    assert config.finetune.steps == 4
    assert config.teacher.weight > 0
    assert config.devices == ("madds:1",)
    every = {one.name: one for one in read_contestants(RunFolder(place / "runs/c"))}
    other = next(one for name, one in every.items() if name.startswith("other at"))
    assert (other.first.steps, other.new_classes, other.inherited) == (3, True, False)
    netadapt = every["NetAdapt at 64 px"]
    assert (netadapt.first, netadapt.new_classes) == (None, False)
    assert every[first["name"]].inherited

    status, again, err = compare("--resume", "runs/c", "--json")
    assert status == 0, err
    assert json.loads(again)["networks"] == document["networks"]


def test_what_the_run_settles_cannot_be_given(search, compare):
    status, _, err = search()
    assert status == 0, err
    for option in (("--data", "photos"), ("--recipe", "proxy"), ("--at-latency",), ("--epochs", 1)):
        status, _, err = compare("runs/one", *QUICK, *option)
        assert status == 2
        assert f"{option[0]} does not apply to the rivals of runs/one: leave it out" in err


def test_an_unfinished_search_has_nothing_to_compare(place, search, compare):
    status, _, err = search()
    assert status == 0, err
    (place / "runs/one/result.json").unlink()
    status, _, err = compare("runs/one", *QUICK)
    assert status == 2
    assert "runs/one has no finalist to compare: nas-search --resume runs/one finishes it" in err


def test_a_rival_whose_file_is_gone_is_named(place, search, compare):
    status, _, err = search("--rival", "other.pt")
    assert status == 0, err
    (place / "runs/one/rivals/other.pt").unlink()
    status, _, err = compare("runs/one", *QUICK)
    assert status == 2
    assert "runs/one lacks the file of other at" in err


def test_further_rivals_see_the_largest_images_within_the_target(place, search, compare):
    status, _, err = search()  # for half of the parent's latency at 64 px
    assert status == 0, err
    options = ("runs/one", "other.pt", "--as-searched", *QUICK, "--seeds", 1, "--run-name", "c")
    status, out, err = compare(*options, "--json")
    assert status == 0, err
    assert json.loads(out)["networks"][-1]["name"] == "other at 32 px"
    every = {one.name: one for one in read_contestants(RunFolder(place / "runs/c"))}
    assert every["other at 32 px"].first.steps == 3


def test_a_further_rival_that_is_too_slow_is_named(place, search, compare):
    status, _, err = search()
    assert status == 0, err
    status, _, err = compare("runs/one", "mobilenet_v2", "--as-searched", *QUICK)
    assert status == 2
    assert "mobilenet_v2 is over the target at every resolution of the search" in err
    status, _, err = compare("other.pt", "runs/one", "--as-searched", *QUICK)
    assert status == 2
    assert "--as-searched: other.pt is not a search from a parent" in err
