"""`nas ablate` of searches, as it is typed."""

import json

import pytest

from nas.cli.search.job import Job
from nas.searching.config import load_config
from tests.nas.cli.conftest import run
from tests.nas.engine.test_kill import SPACE
from tests.nas.killing import make_images

LIST = """\
about: Two controllers
settings:
  {space: tiny.yaml, batch_size: 4, recipe: {steps: 4, batch_size: 4}, finals: {count: 1, repeats: 0}}
searches:
- {name: evolution, settings: {controller: evolution}}
- {name: random, settings: {controller: uniform}}
"""

QUICK = (
    "ablate", "mine.yaml", "--data", "photos", "--device", "madds:1=0.3", "--trials", "4", "--seeds", "2",
    "--workers", "0",
)  # fmt: skip


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """A folder with photos, a space and a list, in which commands run."""
    make_images(tmp_path / "photos")
    (tmp_path / "tiny.yaml").write_text(SPACE)
    (tmp_path / "mine.yaml").write_text(LIST)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def nas(monkeypatch, capsys):
    return lambda *arguments: run(monkeypatch, capsys, *arguments)


def test_every_search_runs_with_every_seed(nas, place):
    status, out, err = nas(*QUICK, "--run-name", "a", "--json")
    assert status == 0, err
    assert "search 4 of 4: random, seed 1" in err
    document = json.loads(out)
    assert [one["name"] for one in document["searches"]] == ["evolution", "random"]
    for one in document["searches"]:
        assert [seed["seed"] for seed in one["seeds"]] == [0, 1]
        assert all(len(seed["trials"]) == 4 for seed in one["seeds"])
    for name in ("ablate.md", "ablate.csv", "ablate.json", "ablate.png", "ablate.svg"):
        assert (place / "runs/a" / name).stat().st_size > 0
    folder = place / "runs/a/searches/2-random-seed-1"
    config = load_config(folder / "config.yaml")
    assert (config.controller.name, config.seed, config.target_ms) == ("uniform", 1, 0.3)
    result = json.loads((folder / "result.json").read_text())
    assert document["searches"][1]["seeds"][1]["test"] == result["test_accuracy"]


def test_an_interrupted_ablation_is_resumed_to_the_same_result(nas, place, monkeypatch):
    status, out, err = nas(*QUICK, "--run-name", "whole", "--json")
    assert status == 0, err
    whole = json.loads(out)
    real, ran = Job.run, []

    def interrupted(job, folder):
        if len(ran) == 2:
            raise KeyboardInterrupt
        ran.append(folder.path.name)
        return real(job, folder)

    with monkeypatch.context() as patch:
        patch.setattr(Job, "run", interrupted)
        status, _, err = nas(*QUICK, "--run-name", "cut")
    assert status == 130
    assert "to resume: nas ablate --resume runs/cut" in err
    status, out, err = nas("ablate", "--resume", "runs/cut", "--dry-run", "--json")
    assert json.loads(out)["done"] == ["1-evolution-seed-0", "2-random-seed-0"]
    status, out, err = nas("ablate", "--resume", "runs/cut", "--json")
    assert status == 0, err
    assert "search 2 of 4: random, seed 0 (done)" in err
    cut = json.loads(out)
    assert _without_time(cut["searches"]) == _without_time(whole["searches"])


def _without_time(searches):
    for one in searches:
        for seed in one["seeds"]:
            for trial in seed["trials"]:
                del trial["train_s"]
    return searches


def test_a_search_that_was_being_created_is_begun_anew(nas, place):
    (place / "runs/a/searches/1-evolution-seed-0").mkdir(parents=True)
    (place / "runs/a/searches/1-evolution-seed-0/start.pt.part").write_text("half")
    status, _, err = nas(*QUICK, "--run-name", "b", "--seeds", "1")
    assert status == 0, err
    (place / "runs/b/searches.json").replace(place / "runs/a/searches.json")
    status, out, err = nas("ablate", "--resume", "runs/a")
    assert status == 0, err
    assert "nothing can be said about chance" in out
    assert "runs/a/ has ablate.md, ablate.csv" in out


def test_a_dry_run_prints_the_plan_of_one_search(nas, place):
    status, _, err = nas(*QUICK, "--dry-run")
    assert status == 0, err
    assert "4 searches: evolution, random; 2 seeds each" in err
    assert "4 trials" in " ".join(err.split())
    assert not (place / "runs").exists()


def test_a_target_out_of_reach_leaves_nothing(nas, place):
    options = [option.replace("=0.3", "=0.01") for option in QUICK]
    status, _, err = nas(*options, "--run-name", "a")
    assert status == 2
    assert "no sampled network is under 0.01 ms" in err
    assert not (place / "runs/a").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("mine.yaml", "--rates", "1"), "--rates does not apply to the searches of mine.yaml"),
        (("mine.yaml", "--epochs", "3"), "--epochs does not apply to the searches of mine.yaml"),
        (("mine.yaml", "--seeds", "0"), "--seeds 0: give 1 or more"),
        (("mine.yaml", "--preset", "fast"), "unknown preset 'fast'"),
        (("kernels", "--trials", "3"), "--trials does not apply to the networks of kernels"),
        (("rewards", "--config", "nothing.yaml"), "nothing.yaml"),
        (("wrong.yaml",), "random: unknown controller unifrom"),
    ],
)
def test_bad_input_is_one_line(nas, place, arguments, message):
    (place / "wrong.yaml").write_text(LIST.replace("uniform", "unifrom"))
    status, _, err = nas("ablate", *arguments, "--data", "photos", "--device", "madds:1=0.3")
    assert status == 2
    assert message in " ".join(err.split())
    assert not (place / "runs").exists()
