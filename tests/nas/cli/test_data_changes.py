"""Images that are bad, or that change between the begin of a run and its end."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from nas.cli.options.data import absolute, found_again
from nas.data.config import DataConfig
from nas.data.streaming import StreamingSplit
from tests.nas.cli.adapt.test_netadapt import STEPS_ALONE
from tests.nas.cli.test_commands import QUICK

SETTINGS = (
    "space: {space}\ntrials: 4\nbatch_size: 2\nrecipe: {{steps: 2, batch_size: 16}}\n"
    "finals: {{count: 1, epochs_factor: 2, repeats: 1}}\ndata: {{memory_limit_mb: {limit}}}\n"
)


@pytest.fixture
def begin(nas_search, photos, searched_space, tmp_path):
    """A search of a few steps, called `one`."""

    def call(*options, limit=4096, data=None):
        config = tmp_path / "config.yaml"
        config.write_text(SETTINGS.format(limit=limit, space=searched_space))
        where = ("--data", data or photos, "--config", config, "--run-name", "one")
        return nas_search(*QUICK, *where, *options)

    return call


def last_line(err):
    assert "Traceback" not in err
    return err.strip().splitlines()[-1]


def photo(path, seed=5):
    rng = np.random.default_rng(seed)
    Image.fromarray(rng.integers(0, 256, (32, 32, 3), np.uint8)).save(path)


def interrupted(folder):
    """As after the first batch."""
    log = (folder / "trials.jsonl").read_text().splitlines(keepends=True)
    (folder / "trials.jsonl").write_text("".join(log[:2]))
    for name in ("finals.jsonl", "result.json"):
        (folder / name).unlink()


def split_of(folder):
    from nas.engine.folder.data_changes import read_contents
    from nas.engine.folder.run_folder import RunFolder

    return read_contents(RunFolder(folder)).splits


@pytest.mark.parametrize("limit", [1, 4096], ids=["streaming", "memory"])
@pytest.mark.parametrize("split", ["test", "val"])
def test_a_bad_image_of_any_split_is_found_before_the_run(begin, photos, tmp_path, split, limit):
    for name in ("train", split):
        shutil.copytree(photos, tmp_path / "sets" / name)
    bad = tmp_path / "sets" / split / "dark" / "3.png"
    bad.write_bytes(bad.read_bytes()[:300])
    code, _, err = begin("--proxy-resolution", 96, limit=limit, data=tmp_path / "sets")
    assert code == 2
    assert f"cannot read image {bad} (" in last_line(err)
    assert "--skip-bad-images" in last_line(err)
    assert not (tmp_path / "runs").exists() or not any((tmp_path / "runs").iterdir())


def test_bad_images_can_be_left_out_and_are_recorded(begin, nas, photos, tmp_path):
    for number, content in enumerate((b"", b"x", b"\xff\xd8\xff")):
        (photos / "dark" / f"bad{number}.jpg").write_bytes(content)
    code, _, err = begin()
    assert code == 2
    assert "3 images cannot be read" in last_line(err)
    code, _, err = begin("--skip-bad-images")
    assert code == 0, err
    assert "left out 3 images that cannot be read" in err
    facts = json.loads((tmp_path / "runs/one/run.json").read_text())
    assert facts["data"]["left_out"]["images"] == 3
    assert sorted(map(os.path.basename, facts["data"]["left_out"]["names"])) == [
        f"bad{number}.jpg" for number in range(3)
    ]
    assert yaml.safe_load((tmp_path / "runs/one/config.yaml").read_text())["data"][
        "skip_bad_images"
    ]
    seed = tmp_path / "runs/one/seed.pt"
    assert nas("evaluate", seed, "--data", photos)[0] == 2
    assert nas("evaluate", seed, "--data", photos, "--skip-bad-images")[0] == 0
    trained = ("--epochs", 1, "--batch-size", 16, "-o", tmp_path / "again.pt")
    assert nas("train", seed, "--data", photos, *trained)[0] == 2
    assert nas("train", seed, "--data", photos, "--skip-bad-images", *trained)[0] == 0


@pytest.mark.slow
def test_added_and_removed_images_are_told_and_can_be_accepted(begin, nas_search, photos, tmp_path):
    assert begin()[0] == 0
    folder = tmp_path / "runs/one"
    interrupted(folder)
    before, facts = split_of(folder), json.loads((folder / "run.json").read_text())
    for number in range(5):
        photo(photos / "light" / f"new{number}.png", number)
    (photos / "dark" / "7.png").unlink()
    kept = {path.name: path.read_bytes() for path in folder.glob("*.json*")}
    code, _, err = nas_search("--resume", folder)
    assert code == 2
    assert (
        "5 images were added to train (light) since the run began, 1 was removed from train (dark): "
        "restore the images, resume with --accept-data-changes (the run notes them), or begin a new run"
    ) in last_line(err)
    assert {path.name: path.read_bytes() for path in folder.glob("*.json*")} == kept
    code, _, err = nas_search("--resume", folder, "--accept-data-changes")
    assert code == 0, err
    assert "resuming with changed images: 5 images were added to train (light)" in err
    now, after = split_of(folder), json.loads((folder / "run.json").read_text())
    for split, files in before.items():  # nobody changed sides
        assert files.keys() - {"dark/7.png"} <= now[split].keys()
    assert after["data_changes"][0]["what"][0].startswith("5 images were added")
    assert (after["data"]["mean"], after["data"]["std"]) == (
        facts["data"]["mean"],
        facts["data"]["std"],
    )
    assert sum(after["data"][split] for split in before) == 104
    assert nas_search("--resume", folder)[0] == 0  # accepted once


def test_other_pixels_under_the_same_name_are_told(begin, nas_search, photos, tmp_path):
    assert begin()[0] == 0
    interrupted(tmp_path / "runs/one")
    for number in range(10):
        photo(photos / "dark" / f"{number}.png", number)
    code, _, err = nas_search("--resume", tmp_path / "runs/one")
    assert code == 2
    assert "changed in train (dark)" in last_line(err)
    assert "data.mean" not in err


def test_another_class_is_no_change_to_accept(begin, nas_search, photos, tmp_path):
    assert begin()[0] == 0
    interrupted(tmp_path / "runs/one")
    shutil.copytree(photos / "dark", photos / "grey")
    for options in ((), ("--accept-data-changes",)):
        code, _, err = nas_search("--resume", tmp_path / "runs/one", *options)
        assert code == 2
        assert "class 'grey' added since the run began; a run keeps its classes" in last_line(err)


@pytest.mark.slow
def test_a_run_of_before_says_what_it_can(begin, nas_search, photos, tmp_path):
    """It has no list of its images, and drew its splits at random."""
    assert begin()[0] == 0
    folder = tmp_path / "runs/one"
    interrupted(folder)
    (folder / "data.json.gz").unlink()
    photo(photos / "light" / "new.png")
    photo(photos / "light" / "new2.png", 2)
    code, _, err = nas_search("--resume", folder)
    assert code == 2
    assert "train had 60 images when the run began and has 62 now" in last_line(err)
    assert "is drawn anew" in last_line(err)
    assert nas_search("--resume", folder, "--accept-data-changes")[0] == 0


def test_runs_of_before_keep_their_random_split(begin, nas_search, tmp_path):
    folder = tmp_path / "runs/one"
    assert begin()[0] == 0
    settings = yaml.safe_load((folder / "config.yaml").read_text())
    assert settings["data"]["split_by"] == "name"
    from nas.searching.config import load_config

    del settings["data"]["split_by"]
    (folder / "config.yaml").write_text(yaml.safe_dump(settings))
    assert load_config(folder / "config.yaml").data.split_by == "random"


def test_accepting_is_for_a_run_that_goes_on(begin):
    code, _, err = begin("--accept-data-changes")
    assert code == 2
    assert "add --resume RUN" in last_line(err)


@pytest.mark.parametrize("beside", [True, False])
@pytest.mark.slow
def test_a_relative_data_folder_is_found_from_elsewhere(
    begin, nas_search, photos, tmp_path, monkeypatch, beside
):
    code, _, err = begin(data="photos")
    assert code == 0, err
    folder = tmp_path / "runs/one"
    interrupted(folder)
    settings = yaml.safe_load((folder / "config.yaml").read_text())
    assert settings["data"]["source"] == str(photos)
    settings["data"]["source"] = "photos"  # as a run of before has it
    (folder / "config.yaml").write_text(yaml.safe_dump(settings))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    if not beside:
        photos.rename(tmp_path / "moved")
    code, _, err = nas_search("--resume", folder)
    assert code == (0 if beside else 2), err
    if not beside:
        assert "a path relative to the folder the run was started in" in last_line(err)


@pytest.mark.slow
def test_a_test_photo_that_goes_bad_meanwhile_does_not_lose_the_result(
    begin, nas, photos, tmp_path, monkeypatch
):
    plain = StreamingSplit.batches

    def batches(self, *arguments, **options):
        if not (tmp_path / "bad").exists() and (tmp_path / "runs/one/finals.jsonl").exists():
            done = (tmp_path / "runs/one/finals.jsonl").read_text()
            if '"repeat"' in done and '"final"' in done:
                path = self.pictures.whole.paths[self.pictures.indices[0]]
                (tmp_path / "bad").write_text(str(path))
                path.write_bytes(b"gone")
        return plain(self, *arguments, **options)

    monkeypatch.setattr(StreamingSplit, "batches", batches)
    code, out, err = begin("--proxy-resolution", 64, "--json", limit=1)
    bad = (tmp_path / "bad").read_text()
    assert code == 0, err
    assert json.loads(out)["test_accuracy"] is None
    assert f"no test accuracy: cannot read image {bad}" in err
    assert "nas evaluate" in err
    for name in ("result.json", "best.yaml", "seed.pt", "best.onnx", "report.html"):
        assert (tmp_path / "runs/one" / name).is_file()
    Path(bad).unlink()
    assert nas("evaluate", tmp_path / "runs/one", "--data", photos)[0] == 0


@pytest.mark.slow
def test_a_photo_that_goes_bad_in_training_stops_the_run_which_can_go_on(
    begin, nas_search, tmp_path, monkeypatch
):
    plain, spoilt = StreamingSplit.batches, []

    def batches(self, *arguments, **options):
        log = tmp_path / "runs/one/trials.jsonl"
        if not spoilt and log.exists() and len(log.read_text().splitlines()) >= 2:
            path = self.pictures.whole.whole.paths[
                self.pictures.whole.indices[self.pictures.indices[0]]
            ]
            spoilt.append((path, path.read_bytes()))
            path.write_bytes(b"gone")
        return plain(self, *arguments, **options)

    monkeypatch.setattr(StreamingSplit, "batches", batches)
    code, _, err = begin("--proxy-resolution", 64, limit=1)
    assert code == 2
    (path, content), folder = spoilt[0], tmp_path / "runs/one"
    assert f"cannot read image {path} (not an image)" in last_line(err)
    assert "to resume: " in err
    trials = [json.loads(line) for line in (folder / "trials.jsonl").read_text().splitlines()]
    assert all(trial["error"] is None for trial in trials)
    path.write_bytes(content)
    code, _, err = nas_search("--resume", folder)
    assert code == 0, err


def test_a_data_folder_with_a_byte_of_latin_1_works_to_the_report(begin, nas, photos, tmp_path):
    data = tmp_path / os.fsdecode(b"caf\xe9")
    photos.rename(data)
    (data / "dark").rename(data / os.fsdecode(b"fonc\xe9"))
    code, _, err = begin(data=data)
    assert code == 0, err
    folder = tmp_path / "runs/one"
    report = (folder / "report.html").read_text(encoding="utf-8")
    assert "caf\xe9" in report
    assert json.loads((folder / "run.json").read_text())["data"]["class_names"] == [
        "fonc\xe9",
        "light",
    ]
    assert nas("evaluate", folder, "--data", data)[0] == 0
    assert nas("report", folder)[0] == 0


def test_layout_and_limit_are_options(begin, nas, photos, tmp_path):
    (photos / "dark").rename(photos / "val")
    code, _, err = begin()
    assert code == 2
    assert "--layout flat" in last_line(err)
    code, _, err = begin("--layout", "nested")
    assert code == 2
    assert "nested" in last_line(err)
    code, _, err = begin("--layout", "flat", "--max-megapixels", 0.001)
    assert code == 2
    assert "above the limit of 0.001 (--max-megapixels)" in last_line(err)
    assert begin("--layout", "flat", "--dry-run")[0] == 0


@pytest.mark.slow
def test_netadapt_tells_changes_and_goes_on_with_them(netadapt, seed, photos, tmp_path):
    given = ("--seed", seed, "--data", photos, "--target-ratio", 0.85, *STEPS_ALONE)
    (photos / "dark" / "bad.jpg").write_bytes(b"no photo")
    code, _, err = netadapt(*given, "--run-name", "one")
    assert code == 2
    assert "bad.jpg (not an image)" in last_line(err)
    code, _, err = netadapt(*given, "--run-name", "one", "--skip-bad-images")
    assert code == 0, err
    folder = tmp_path / "runs/one"
    settings = yaml.safe_load((folder / "config.yaml").read_text())
    assert settings["data"]["source"] == str(photos)
    photo(photos / "light" / "new.png")
    code, _, err = netadapt("--resume", folder)
    assert code == 2
    assert "1 image was added to train (light) since the run began" in last_line(err)
    code, _, err = netadapt("--resume", folder, "--accept-data-changes")
    assert code == 0, err
    facts = json.loads((folder / "run.json").read_text())
    assert facts["data_changes"][0]["what"] == [
        "1 image was added to train (light) since the run began"
    ]
    assert netadapt("--resume", folder)[0] == 0


def test_netadapt_keeps_its_result_where_a_test_photo_has_gone_bad(
    netadapt, seed, photos, tmp_path, monkeypatch
):
    from nas.data.image_files.unreadable import Unreadable, UnreadableError

    def fails(*_):
        shutil.rmtree(photos)
        raise UnreadableError([Unreadable("photos/dark/1.png", "empty file")])

    monkeypatch.setattr("nas.adapting.results.conclusion.tested", fails)
    given = ("--seed", seed, "--data", photos, "--target-ratio", 0.85, *STEPS_ALONE)
    code, out, err = netadapt(*given, "--run-name", "one", "--json")
    assert code == 0, err
    assert json.loads(out)["test_accuracy"] is None
    assert "no test accuracy: cannot read image photos/dark/1.png" in err
    assert "the report shows no test images: cannot read" in err
    assert (tmp_path / "runs/one/adapted.pt").is_file()
    report = (tmp_path / "runs/one/report.html").read_text()
    assert "could not be read at the end" in report
    assert "adapted.pt on the test images" not in report


@pytest.mark.parametrize("source", ["fashion-mnist-subset", "CIFAR10", "cifar10"])
def test_data_sets_with_a_name_are_no_folders_to_look_for(tmp_path, monkeypatch, source):
    monkeypatch.chdir(tmp_path)
    data = DataConfig(source=source, memory_limit_mb=7)
    assert found_again(data, tmp_path / "runs" / "one") == data
    assert absolute(data) == data
    (tmp_path / source).mkdir()  # a folder that exists wins
    assert absolute(data).source == (
        "fashion-mnist-subset" if "-" in source else str(tmp_path / source)
    )
