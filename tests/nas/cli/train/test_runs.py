"""`nas train`: its run folder, resuming, recipes and teachers."""

import csv
import json
import random

import pytest
import torch
from PIL import Image

from nas.checkpoints.checkpoint import load_checkpoint
from nas.training_runs.config import TrainConfig
from nas.training_runs.keeping import StateKeeper
from tests.nas.killing import kill_tree, make_images, start

QUICK = ("--resolution", 32, "--batch-size", 16, "--epochs", 3)
NETWORK = "mobilenet_v3_small@0.35"


@pytest.fixture
def photos(tmp_path):
    make_images(tmp_path / "photos")
    return tmp_path / "photos"


@pytest.fixture
def train(nas, photos):
    def run(output, *more, network=NETWORK):
        return nas("train", network, "--data", photos, "-o", output, *QUICK, *more)

    return run


def run_folder(tmp_path):
    (found,) = (tmp_path / "runs").glob("train-*")
    return found


def same_weights(one, other):
    a, b = load_checkpoint(one).weights, load_checkpoint(other).weights
    return all(torch.equal(a[name], b[name]) for name in a)


def test_the_folder_has_history_and_curves(train, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, _, err = train(tmp_path / "a.pt")
    assert status == 0
    folder = run_folder(tmp_path)
    with (folder / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == [4, 8, 12]
    assert all(0 <= float(row["accuracy"]) <= 1 for row in rows)
    with Image.open(folder / "curves.png") as picture:
        assert picture.width > 600
    result = json.loads((folder / "result.json").read_text())
    assert result["val_accuracy"] == pytest.approx(float(rows[-1]["accuracy"]))
    assert not (folder / "state.pt").exists()
    assert "epoch 1: " in err
    assert "curves.png" in err


def test_an_interrupted_training_ends_with_the_same_weights(nas, train, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert train("whole.pt", "--run-name", "whole")[0] == 0
    keep = StateKeeper.keep

    def interrupt(self, state, progress):
        keep(self, state, progress)
        if state["step"] == 8:
            raise KeyboardInterrupt

    monkeypatch.setattr(StateKeeper, "keep", interrupt)
    status, _, err = train("resumed.pt", "--run-name", "stopped")
    assert status != 0
    assert "train --resume runs/stopped" in err
    monkeypatch.setattr(StateKeeper, "keep", keep)
    status, _, err = nas("train", "--resume", "runs/stopped")
    assert status == 0
    assert same_weights("whole.pt", "resumed.pt")
    histories = [
        (tmp_path / "runs" / name / "history.csv").read_text() for name in ("whole", "stopped")
    ]
    columns = [
        [line.split(",")[:3] + line.split(",")[4:] for line in h.splitlines()] for h in histories
    ]
    assert columns[0] == columns[1]  # but for the speed
    status, _, err = nas("train", "--resume", "runs/stopped")
    assert status == 2
    assert "this training is finished: its network is" in err


@pytest.mark.slow
def test_a_killed_training_ends_with_the_same_weights(nas, train, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert train("whole.pt", "--run-name", "whole")[0] == 0
    arguments = ["train", NETWORK, "--data", "photos", "-o", "killed.pt", "--run-name", "killed"]
    process = start(tmp_path, "main", *arguments, *map(str, QUICK))
    state = tmp_path / "runs" / "killed" / "state.pt"
    while not state.exists() and process.poll() is None:
        pass
    kill_tree(process)
    assert not (tmp_path / "killed.pt").exists()
    assert nas("train", "--resume", "runs/killed")[0] == 0
    assert same_weights("whole.pt", "killed.pt")


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.ray
def test_several_workers_resume_a_training(nas, train, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    keep = StateKeeper.keep

    def interrupt(self, state, progress):
        keep(self, state, progress)
        raise KeyboardInterrupt

    monkeypatch.setattr(StateKeeper, "keep", interrupt)
    assert train("two.pt", "--run-name", "two", "--workers", 2)[0] != 0
    monkeypatch.setattr(StateKeeper, "keep", keep)
    status, _, err = nas("train", "--resume", "runs/two", "--workers", 1)
    assert status == 0
    assert "epoch 2: " in err
    assert "epoch 1: " not in err


def test_a_changed_data_folder_is_refused(nas, train, photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(StateKeeper, "keep", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    assert train("a.pt", "--run-name", "stopped")[0] != 0
    random.choice(sorted((photos / "dark").iterdir())).unlink()
    status, _, err = nas("train", "--resume", "runs/stopped")
    assert status == 2
    assert "1 image removed" in err or "since the run began" in err


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (
            ("--recipe", "papper"),
            "no recipe 'papper', and no such file: there are proxy, paper, photos, finetune",
        ),
        (("--recipe", "bad.yaml"), "momentums"),
        (("--recipe", "base.yaml"), "no recipe 'fast' to start from"),
        (("--temperature", 3), "apply to --teacher FILE: add it"),
        (("--teacher", "other.pt", "--temperature", 0), "--temperature"),
        (("--teacher", "none.pt"), "none.pt"),
        (("--run-name", "a/b"), "is not a folder name"),
        (("--workers", 3), "--batch-size 16 does not divide among 3 workers: give 15 or 18"),
        (("--workers", 32), "--batch-size 16 does not divide among 32 workers: give 32 or 64"),
        (("--workers", 0), "--workers: must be greater than 0, got 0"),
        (
            ("--workers", 2, "--device", "cuda:1"),
            "--device cuda:1: workers train on cpu, or on cuda",
        ),
        (("--cpus-per-worker", 2), "--cpus-per-worker applies to --workers or --ray-address"),
        (
            ("--workers", 8, "--recipe", "parts.yaml"),
            "each of 8 workers has 2 images, and each part needs two",
        ),
    ],
)
def test_wrong_options(train, tmp_path, monkeypatch, more, expected):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.yaml").write_text("momentums: 1\n")
    (tmp_path / "base.yaml").write_text("base: fast\n")
    (tmp_path / "parts.yaml").write_text("accumulate: 4\n")
    status, _, err = train("a.pt", *more)
    assert status == 2
    assert expected in err.replace("\n", " ")
    assert not (tmp_path / "runs").exists()


def test_an_output_that_cannot_be_written_is_refused_at_once(train, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    status, _, err = train("models")
    assert (status, "models is a folder: give a file as --output" in err) == (2, True)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), "give a network to train, or --resume"),
        ((NETWORK,), "give --data"),
        (("--resume", "photos"), "photos is not a training's folder"),
        ((NETWORK, "--resume", "photos"), "leave the network out"),
        (("--resume", "photos", "--epochs", 3), "leave --epochs out"),
    ],
)
def test_wrong_calls(nas, photos, tmp_path, monkeypatch, arguments, expected):
    monkeypatch.chdir(tmp_path)
    status, _, err = nas("train", *arguments)
    assert status == 2
    assert expected in err


@pytest.mark.slow
@pytest.mark.long
def test_a_teacher_changes_the_student(train, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert train("teacher.pt")[0] == 0
    assert train("alone.pt")[0] == 0
    assert same_weights("teacher.pt", "alone.pt")
    status, _, err = train("taught.pt", "--teacher", "teacher.pt", "--teacher-weight", 1)
    assert status == 0, err
    assert not same_weights("alone.pt", "taught.pt")


def interrupted(train, monkeypatch, *arguments, **options):
    """Train until the first state is kept."""
    keep = StateKeeper.keep

    def interrupt(self, state, progress):
        keep(self, state, progress)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(StateKeeper, "keep", interrupt)
        assert train(*arguments, "--run-name", "stopped", **options)[0] != 0


def test_a_resumed_training_has_the_teacher_that_it_began_with(nas, train, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert train("teacher.pt", "--seed", 1)[0] == 0
    taught = ("--teacher", "teacher.pt", "--teacher-weight", 1)
    assert train("whole.pt", *taught)[0] == 0
    interrupted(train, monkeypatch, "resumed.pt", *taught)
    (tmp_path / "teacher.pt").unlink()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    status, _, err = nas("train", "--resume", tmp_path / "runs" / "stopped")
    assert status == 0, err
    assert same_weights(tmp_path / "whole.pt", tmp_path / "resumed.pt")


@pytest.mark.slow
@pytest.mark.long
def test_a_resumed_training_has_the_class_file_that_it_began_with(
    nas, train, photos, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert train("before.pt")[0] == 0
    (photos / "dark").rename(photos / "n01")
    (photos / "light").rename(photos / "n02")
    names = tmp_path / "names.yaml"
    names.write_text("n01: dark\nn02: light\n")
    given = ("--classes", names)
    interrupted(train, monkeypatch, "after.pt", *given, network="before.pt")
    names.unlink()
    status, _, err = nas("train", "--resume", "runs/stopped")
    assert status == 0, err
    assert load_checkpoint("after.pt").usage.classes == ("dark", "light")


def test_a_teacher_of_other_classes_is_refused(nas, train, photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert train("teacher.pt")[0] == 0
    (photos / "light").rename(photos / "bright")
    status, _, err = train("taught.pt", "--teacher", "teacher.pt")
    assert status == 2
    assert "the teacher's 2 classes are not the data's 2: fine-tune it on these images first" in err


def test_a_recipe_file_changes_its_base(train, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text(
        "base: paper\nepochs: 1\nbatch_size: 16\nema_decay: 0.9\naugment: {crop_area: 0.5}\n"
    )
    status, _, err = train("mine.pt", "--recipe", "mine.yaml")
    assert status == 0, err
    assert "without averaging the weights" in err
    assert load_checkpoint("mine.pt").usage.mean == (0.5, 0.5, 0.5)


def test_a_file_without_base_changes_the_default(nas, train, photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text("batch_size: 16\nsteps: 2\n")
    assert train("a.pt", "--recipe", "mine.yaml", "--run-name", "a")[0] == 0
    tuned = ("--data", photos, "--recipe", "mine.yaml", "--run-name", "b", "-o", "b.pt")
    assert nas("train", "a.pt", *tuned)[0] == 0
    kinds = [TrainConfig.read(tmp_path / "runs" / name).recipe.optimizer.name for name in "ab"]
    assert kinds == ["adamw", "sgd"]


def test_the_folder_of_a_training_stands_for_its_network(nas, train, photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert train("a.pt", "--run-name", "a")[0] == 0
    assert nas("evaluate", "runs/a", "--data", photos)[0] == 0
    assert nas("export", "runs/a", "--onnx", "-o", "a.onnx")[0] == 0
    status, _, err = train("b.pt", "--teacher", "runs/a")
    assert status == 0
    assert "with runs/a (32 px) as teacher" in err
    assert nas("train", "runs/a", "--data", photos, "-o", "c.pt", "--epochs", 1)[0] == 0
    (tmp_path / "a.pt").unlink()
    status, _, err = nas("evaluate", "runs/a", "--data", photos)
    assert status == 2
    assert "is gone: restore the file" in err


def test_an_output_that_cannot_be_written_is_replaced_on_resuming(
    nas, train, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert train("whole.pt")[0] == 0
    gone = tmp_path / "gone"
    gone.mkdir()
    keep = StateKeeper.keep

    def remove(self, state, progress):
        keep(self, state, progress)
        if gone.is_dir():
            gone.rmdir()

    with monkeypatch.context() as patch:
        patch.setattr(StateKeeper, "keep", remove)
        assert train("gone/a.pt", "--run-name", "a")[0] == 2
    assert nas("train", "--resume", "runs/a", "-o", "there.pt")[0] == 0
    assert same_weights("whole.pt", "there.pt")
    assert nas("show", "runs/a")[0] == 0


def test_patience_says_where_it_ended(train, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text("patience: 1\nlearning_rate: 1.0e-9\n")
    status, _, err = train("a.pt", "--recipe", "mine.yaml", "--run-name", "a")
    assert status == 0
    assert "stopped after epoch 2, 1 epoch without a better held-out accuracy" in err.replace(
        "\n", " "
    )
    assert "these are the weights of epoch 1" in err
    result = json.loads((tmp_path / "runs" / "a" / "result.json").read_text())
    assert (result["steps"], result["planned_steps"], result["best_step"]) == (8, 12, 4)
