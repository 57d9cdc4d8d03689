"""`netadapt --teacher`."""

import json

import pytest
import yaml

from nas.checkpoints.checkpoint import checkpoint_bytes
from tests.nas.searching.test_teacher import checkpoint

QUICK = (
    "--device", "madds:1", "--target-ratio", 0.9, "--finetune-steps", 1, "--batch-size", 16,
    "--final-epochs", 1, "--workers", 0,
)  # fmt: skip


@pytest.fixture
def narrow(netadapt, seed, photos, tmp_path):
    (tmp_path / "big.pt").write_bytes(checkpoint_bytes(checkpoint()))
    return lambda *more: netadapt("--seed", seed, "--data", photos, *QUICK, *more)


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        (("--teacher-weight", 0.3), "apply to --teacher FILE: add it"),
        (
            ("--teach-proposals",),
            "--teach-proposals has no effect without a teacher: add --teacher FILE or seed",
        ),
        (
            ("--teacher", "seed", "--temperature", 0),
            "--temperature: must be greater than 0, got 0.0",
        ),
        (("--teacher", "none.pt"), "none.pt: No such file or directory: give a trained network"),
        (("--teacher", "reds.pt"), "reds.pt: the teacher's 2 classes are not the data's 2"),
    ],
)
def test_a_bad_teacher_is_refused(narrow, tmp_path, more, problem):
    (tmp_path / "reds.pt").write_bytes(checkpoint_bytes(checkpoint(classes=("red", "dark"))))
    status, _, err = narrow(*more)
    assert status == 2
    assert problem in err.splitlines()[-1]
    assert not (tmp_path / "runs").exists()


def test_without_a_final_training_it_has_no_effect(netadapt, seed, photos):
    options = ("--seed", seed, "--data", photos, "--device", "madds:1", "--target-ratio", 0.9)
    status, _, err = netadapt(*options, "--final", "none", "--teacher", "seed")
    assert status == 2
    assert "--teacher has no effect with --final none: leave it out" in err


def test_the_plan_counts_it(narrow):
    documents = []
    for more in ((), ("--teacher", "seed"), ("--teacher", "big.pt")):
        status, out, err = narrow("--dry-run", "--json", "--final-epochs", 300, *more)
        assert status == 0, err
        documents.append(json.loads(out)["expected_s"])
    assert documents[0] < documents[1] < documents[2]  # big.pt has more multiply-adds
    plan = " ".join(err.split())  # lines are wrapped
    assert "final trainings also learn from big.pt; proposals, fine-tuned briefly, do not" in plan


def test_a_run_says_who_taught_and_needs_no_file(narrow, netadapt, tmp_path):
    status, _, err = narrow("--teacher", "big.pt", "--run-name", "one")
    assert status == 0, err
    sentence = "The final trainings also learned from a teacher, big.pt (temperature 2, 50% of the"
    assert sentence in err
    kept = yaml.safe_load((tmp_path / "runs/one/config.yaml").read_text())
    assert kept["teacher"] == {"path": "big.pt", "temperature": 2.0, "weight": 0.5}
    (tmp_path / "big.pt").unlink()
    (tmp_path / "runs/one/finals.jsonl").unlink()
    status, _, err = netadapt("--resume", "runs/one", "--final", "both")
    assert status == 0, err
    assert sentence in err
    status, _, err = netadapt("--resume", "runs/one", "--teacher", "seed")
    assert status == 2
    assert "--teacher cannot change on --resume" in err


def test_proposals_may_learn_from_it_without_a_final_training(narrow, tmp_path):
    more = ("--teacher", "big.pt", "--finetune-steps", 300, "--dry-run", "--json")
    costs = []
    for taught in ((), ("--teach-proposals",)):
        status, out, err = narrow(*more, *taught)
        assert status == 0, err
        costs.append(json.loads(out)["expected_s"])
    assert costs[0] < costs[1]
    assert "proposals and final trainings also learn from big.pt" in " ".join(err.split())
    alone = ("--teacher", "big.pt", "--teach-proposals", "--final", "none")
    status, _, err = narrow(*alone, "--run-name", "one")
    assert status == 2
    assert "--final-epochs has no effect with --final none" in err  # and not --teacher
