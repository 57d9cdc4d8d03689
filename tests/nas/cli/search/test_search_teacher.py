"""`nas-search --teacher`."""

import json

import pytest
import yaml

from nas.checkpoints.checkpoint import checkpoint_bytes
from tests.nas.searching.test_teacher import checkpoint


@pytest.fixture
def search(nas_search, photos, space, tmp_path, monkeypatch):
    (tmp_path / "mine.yaml").write_text("recipe: {steps: 2, batch_size: 16}\n")
    (tmp_path / "big.pt").write_bytes(checkpoint_bytes(checkpoint()))
    monkeypatch.setattr("nas.cli.search.planning.teacher_speed", lambda *_, **__: 10.0)
    options = (
        "--config", "mine.yaml", "--data", photos, "--space", space, "--device", "madds:1",
        "--target-ms", 10, "--trials", 2, "--batch-size", 2, "--workers", 0,
    )  # fmt: skip
    return lambda *more: nas_search(*options, *more)


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        (("--temperature", 3), "apply to --teacher FILE: add it"),
        (
            ("--teacher", "big.pt", "--teacher-weight", 2),
            "--teacher-weight: must be less than or equal",
        ),
        (("--teacher", "none.pt"), "none.pt: No such file or directory: give a trained network"),
        (("--teacher", "reds.pt"), "reds.pt: the teacher's 2 classes are not the data's 2"),
    ],
)
def test_a_bad_teacher_is_refused(search, tmp_path, more, problem):
    (tmp_path / "reds.pt").write_bytes(checkpoint_bytes(checkpoint(classes=("red", "dark"))))
    status, _, err = search(*more)
    assert status == 2
    assert problem in err
    assert len(err.strip().splitlines()) == 1
    assert not (tmp_path / "runs").exists()


def test_the_plan_counts_it(search):
    (alone, out_alone, _), (taught, out, err) = (
        search("--dry-run", "--json", *more) for more in ((), ("--teacher", "big.pt"))
    )
    assert alone == taught == 0
    # Three finalists one after another, of 4 * 2 steps with 16 images each, at 10 images a second.
    more_s = json.loads(out)["expected_s"] - json.loads(out_alone)["expected_s"]
    assert more_s == pytest.approx(3 * 4 * 2 * 16 / 10, abs=0.1)
    assert "finalists also learn from big.pt" in err


def test_a_finished_run_says_who_taught_and_needs_no_file(search, nas_search, tmp_path):
    status, _, err = search("--teacher", "big.pt", "--temperature", 3, "--run-name", "one")
    assert status == 0, err
    sentence = "Finalists also learned from a teacher, big.pt (temperature 3, 50% of the loss)."
    assert sentence in err
    kept = yaml.safe_load((tmp_path / "runs/one/config.yaml").read_text())
    assert kept["teacher"] == {"path": "big.pt", "temperature": 3.0, "weight": 0.5}
    (tmp_path / "big.pt").unlink()
    (tmp_path / "runs/one/result.json").unlink()
    status, _, err = nas_search("--resume", "runs/one")
    assert status == 0, err
    assert sentence in err
    status, _, err = search("--teacher", "runs/one", "--dry-run")
    assert status == 0, err
    assert "finalists also learn from runs/one/seed.pt" in err
