"""`nas-search --parent`: what it refuses, what it plans, and a run from images to files."""

import json
from dataclasses import replace

import pytest
from PIL import Image

from nas.checkpoints.checkpoint import Checkpoint, checkpoint_bytes, load_checkpoint
from nas.checkpoints.usage import NORMALIZATIONS
from nas.cli.search import netadapt_rival
from nas.searching.from_parent.heritages import Heritages
from search_spaces import REFERENCES
from search_spaces.network import build
from tests.nas.small_parent import small_parent

CONFIG = """
recipe: {steps: 2, batch_size: 16}
parent: {recipe: {steps: 3, batch_size: 16}}
finals: {count: 1, repeats: 1, recipe: {steps: 3, batch_size: 16}}
"""


@pytest.fixture
def search(nas_search, photos, tmp_path):
    (tmp_path / "short.yaml").write_text(CONFIG)
    (tmp_path / "parent.pt").write_bytes(checkpoint_bytes(small_parent()))
    (tmp_path / "knows.pt").write_bytes(checkpoint_bytes(small_parent(("dark", "light"))))
    options = ("--data", photos, "--device", "madds:1", "--workers", 0)
    return lambda *more: nas_search(*options, *more)


def large_parent():
    """A network that is far above any target here."""
    spec = REFERENCES["mobilenet_v2"]()
    usage = replace(small_parent().usage, trained_px=224, classes=tuple(map(str, range(1000))))
    return Checkpoint(spec, build(spec).state_dict(), usage)


RUN = (
    "--config", "short.yaml", "--parent", "parent.pt", "--resolutions", "64,32",
    "--trials", 4, "--batch-size", 2,
)  # fmt: skip


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (("--resolutions", "64", "--from-scratch"), "--resolutions 64 applies to a search from a parent"),
        (("--parent", "parent.pt", "--from-scratch"), "exclude each other: give one of them"),
        (("--parent", "none.pt"), "none.pt: No such file or directory"),
        (("--parent", "some.pth"), "some.pth has weights only: make a seed.pt of it with nas import"),
        (("--parent", "parent.yaml"), "parent.yaml has no weights"),
        (("--parent", "parent.pt", "--preset", "paper"), "the preset paper trains from scratch"),
        (("--parent", "parent.pt", "--resolutions", "64,9x"), "'9x' is not a side in pixels"),
        (("--parent", "parent.pt", "--resolutions", "64,36"), "resolution 36 is not a multiple of"),
        (("--parent", "parent.pt", "--resolutions", "64,64"), "resolutions must be distinct"),
        (("--parent", "parent.pt", "--teacher", "parent.pt"), "--teacher does not apply with --parent"),
        (("--parent", "parent.pt", "--warm-start", "parent.pt"), "--warm-start does not apply"),
        (("--parent", "parent.pt", "--target-ms", 1000), "so there is nothing to search"),
        (("--rival", "parent.pt", "--from-scratch"), "--rival parent.pt applies to a search from a parent"),
        (("--with-netadapt", "--from-scratch"), "--with-netadapt applies to a search from a parent"),
        (("--curve", 2, "--space", "mnasnet"), "--curve 2 applies to a search from a parent"),
        (("--parent", "parent.pt", "--rival", "none.pt"), "none.pt: No such file or directory"),
        (("--parent", "parent.pt", "--rival", "some.pth"), "some.pth has weights only"),
        (("--parent", "parent.pt", "--rival", "knows.pt", "--rival", "more/knows.pt"),
         "--rival: two networks are called knows"),
        (("--parent", "parent.pt", "--rival", "large.pt", "--resolutions", "64,32"),
         "--rival large takes"),
        (("--parent", "parent.pt", "--target-ms", 0.01), "no sampled network is under 0.01 ms here"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line_before_anything_is_trained(search, tmp_path, options, problem):
    (tmp_path / "some.pth").write_bytes(b"")
    (tmp_path / "parent.yaml").write_text("")
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "knows.pt").write_bytes((tmp_path / "knows.pt").read_bytes())
    (tmp_path / "large.pt").write_bytes(checkpoint_bytes(large_parent()))
    status, _, err = search(*options)
    assert status == 2
    assert problem in err.splitlines()[-1]
    assert not (tmp_path / "runs").exists()


def test_netadapt_narrows_for_one_device(search, nas_search, photos):
    devices = ("--device", "madds:1=2", "--device", "madds:2=2")
    status, _, err = nas_search(
        "--data", photos, "--parent", "parent.pt", "--with-netadapt", *devices
    )
    assert status == 2
    assert "--with-netadapt narrows for one device, and 2 are given" in err.splitlines()[-1]


def test_two_photos_a_class_are_the_least(search, photos, tmp_path):
    few = tmp_path / "few"
    for split in ("train", "val", "test"):
        for label in ("dark", "light"):
            (few / split / label).mkdir(parents=True)
            Image.new("RGB", (64, 64)).save(few / split / label / "one.png")
    status, _, err = search("--parent", "parent.pt", "--data", few)
    assert status == 2
    assert "few has 2 training images of 2 classes: give at least 2 of each" in err


def test_the_plan_says_where_it_begins(search):
    status, out, err = search(*RUN, "--dry-run", "--json")
    assert status == 0, err
    assert "parent.pt, fine-tuned on these 2 classes first" in err
    assert "64, 32 px to choose from" in err
    assert "half of the parent's latency" in err
    plan = json.loads(out)
    assert plan["target_ms"] == pytest.approx(plan["references_ms"]["the parent"] / 2)
    status, _, err = search(*RUN, "--parent", "knows.pt", "--dry-run")
    assert "knows.pt, whose weights all candidates inherit" in err


def test_from_photos_to_files_and_on_from_the_log(search, nas_search, tmp_path):
    status, out, err = search(*RUN, "--run-name", "one", "--json")
    assert status == 0, err
    assert "fine-tuned on these 2 classes first (" in err
    _, _, plan = search(*RUN, "--dry-run")
    assert "fine-tuned on these 2 classes by an earlier run" in plan
    _, _, plan = search(*RUN, "--random-seed", 1, "--dry-run")
    assert "fine-tuned on these 2 classes first (" in plan
    result, run = json.loads(out), tmp_path / "runs" / "one"
    assert "points (95% interval" in err
    assert result["verdict"]["ships"] in ("finalist", "rival")
    shipped = load_checkpoint(run / "seed.pt")
    assert shipped.spec.resolution == result["px"]
    assert shipped.usage.classes == ("dark", "light")
    assert shipped.usage.mean == NORMALIZATIONS["imagenet"][0]

    log = (run / "trials.jsonl").read_text().splitlines()
    (run / "trials.jsonl").write_text("\n".join(log[:3]) + "\n")
    (run / "finals.jsonl").unlink()
    (tmp_path / "parent.pt").unlink()  # the run has its own copy
    status, out, err = nas_search("--resume", run, "--workers", 0, "--json")
    assert status == 0, err
    again = json.loads(out)
    assert again["verdict"] == result["verdict"]
    assert again["fingerprint"] == result["fingerprint"]


def test_rivals_of_all_kinds_and_a_curve_in_one_run(search, nas_search, tmp_path, monkeypatch):
    monkeypatch.setattr(netadapt_rival, "NETADAPT_STEPS", 1)
    monkeypatch.setattr(netadapt_rival, "NETADAPT_DELTA", 0.4)
    more = (
        "--rival",
        "knows.pt",
        "--with-netadapt",
        "--curve",
        1,
        "--batch-size",
        5,
        "--trials",
        10,
    )
    status, _, err = search(*RUN, *more, "--run-name", "one", "--json")
    assert status == 0, err
    run = tmp_path / "runs" / "one"
    names = [rival["name"] for rival in json.loads((run / "rivals.json").read_text())["rivals"]]
    assert names[0].startswith("knows at")
    assert names[-1] == "NetAdapt at 64 px"
    assert (run / "netadapt" / "adapted.pt").is_file()
    kept = load_checkpoint(run / "rivals" / "knows.pt")
    assert kept.usage.classes == ("dark", "light")
    (tmp_path / "knows.pt").unlink()  # the run has its own copy
    finals = (run / "finals.jsonl").read_text()
    (run / "finals.jsonl").write_text("\n".join(finals.splitlines()[:3]) + "\n")
    status, _, err = nas_search("--resume", run)
    assert status == 0, err
    again = [json.loads(line) for line in (run / "finals.jsonl").read_text().splitlines()]
    before = [json.loads(line) for line in finals.splitlines()]
    assert [(t["kind"], t["index"], t["accuracy"]) for t in again] == [
        (t["kind"], t["index"], t["accuracy"]) for t in before
    ]


def test_what_was_prepared_is_kept_when_the_search_is_interrupted(
    search, nas_search, tmp_path, monkeypatch
):
    with monkeypatch.context() as patched:
        patched.setattr(Heritages, "of_trials", interrupted)
        status, _, err = search(*RUN, "--run-name", "one")
    assert status == 130
    run = tmp_path / "runs" / "one"
    assert f"--resume {run.relative_to(tmp_path)}" in err
    tuned = (run / "parent.pt").read_bytes()
    status, _, err = nas_search("--resume", run)
    assert status == 0, err
    assert (run / "parent.pt").read_bytes() == tuned


def interrupted(*_):
    raise KeyboardInterrupt


@pytest.mark.slow
@pytest.mark.long
def test_a_run_with_a_rival_that_is_called_as_every_runs_network_is_resumed(
    search, nas_search, tmp_path
):
    (tmp_path / "knows.pt").rename(tmp_path / "seed.pt")
    status, _, err = search(*RUN, "--rival", "seed.pt", "--run-name", "one")
    assert status == 0, err
    (tmp_path / "seed.pt").unlink()
    status, _, err = nas_search("--resume", tmp_path / "runs" / "one")
    assert status == 0, err
