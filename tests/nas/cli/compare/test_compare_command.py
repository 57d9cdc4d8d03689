"""`nas compare`, as it is typed."""

import json
import re

import pytest

from nas.checkpoints.checkpoint import checkpoint_bytes
from nas.comparing.config import CompareConfig
from nas.run_compare import RESULTS
from tests.nas.adapting.test_adapt import SEED
from tests.nas.cli.conftest import run
from tests.nas.killing import make_images

QUICK = (
    "--device", "madds:1", "--epochs", "0.3", "--batch-size", "16", "--seeds", "2", "--rates", "1",
    "--workers", "0",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _no_timing(monkeypatch):
    monkeypatch.setattr("nas.cli.compare.running.training_speed", lambda *_, **__: 500.0)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with photos and a trained network, in which commands run."""
    make_images(tmp_path / "photos")
    (tmp_path / "seed.pt").write_bytes(checkpoint_bytes(SEED))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def compare(monkeypatch, capsys):
    return lambda *arguments: run(monkeypatch, capsys, "compare", *arguments)


def test_two_networks_are_compared(place, compare):
    status, out, err = compare(
        "seed.pt", "mobilenet_v3_small@0.35", "--data", "photos", "--run-name", "c", *QUICK
    )
    assert status == 0, err
    assert "seed: 32 px, trained from its weights" in err
    assert "mobilenet_v3_small@0.35: 32 px, trained from scratch" in err
    assert "4 trainings (2 seeds)" in err
    assert "seed" in out
    assert "runs/c/ has compare.md, compare.csv" in out
    assert "export runs/c/network.pt" in out
    for name in RESULTS:
        assert (place / "runs" / "c" / name).stat().st_size > 0
    assert CompareConfig.read(place / "runs" / "c").seeds == 2


def test_json_is_one_document(place, compare):
    _, out, _ = compare("seed.pt", "seed.pt", "--data", "photos", "--json", *QUICK)
    document = json.loads(out)
    assert [one["name"] for one in document["networks"]] == ["seed", "seed #2"]
    first, second = document["networks"]
    assert first["test_percent"] == second["test_percent"]  # trained once
    assert second["first_minus_this"]["points"] == 0


def test_a_dry_run_trains_nothing(place, compare):
    status, _, err = compare("seed.pt", "mobilenet_v2", "--data", "photos", "--dry-run", *QUICK)
    assert status == 0, err
    assert not (place / "runs").exists()


def test_a_dry_run_is_a_document_too(place, compare):
    _, out, _ = compare(
        "seed.pt", "mobilenet_v2", "--data", "photos", "--dry-run", "--json", *QUICK
    )
    document = json.loads(out)
    assert [one["name"] for one in document["networks"]] == ["seed", "mobilenet_v2"]
    assert [one["from_scratch"] for one in document["networks"]] == [False, True]
    assert document["trainings"] == 4


def test_a_stopped_comparison_is_resumed(place, compare, monkeypatch):
    from nas.comparing.training import CompareTraining

    real, calls = CompareTraining.__call__, []

    def dies(self, job):
        calls.append(job.name)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(self, job)

    monkeypatch.setattr(CompareTraining, "__call__", dies)
    arguments = ("seed.pt", "mobilenet_v3_small@0.35", "--data", "photos", "--run-name", "c")
    status, _, err = compare(*arguments, *QUICK)
    assert status == 130
    assert "to resume: " in err
    status, out, err = compare("--resume", "runs/c")
    assert status == 0, err
    assert "runs/c/ has compare.md" in out


def test_at_latency_brings_others_to_the_first(place, compare):
    status, out, err = compare(
        "seed.pt", "mobilenet_v3_small@0.75", "--data", "photos", "--at-latency", "--json", *QUICK
    )
    assert status == 0, err
    first, *others = json.loads(out)["networks"]
    assert others
    limit = first["latencies"][0]["ms"]
    for one in others:
        assert one["name"].startswith("mobilenet_v3_small@0.75, ")
        assert one["latencies"][0]["ms"] <= limit


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("seed.pt",), "give two networks or more to compare, got seed.pt"),
        ((), "give two networks or more to compare"),
        (("seed.pt", "nothing"), "nothing"),
        (("seed.pt", "seed.pt", "--seeds", "0"), "--seeds"),
        (("seed.pt", "seed.pt", "--rates", "fast"), "--rates 'fast': give numbers"),
        (("seed.pt", "seed.pt", "--rates", "0,1"), "--rates: .*above 0"),
        (("seed.pt", "seed.pt", "--rates", "1,1"), "--rates: .*each multiple once"),
        (("seed.pt", "seed.pt", "--rates", "nan"), "--rates: .*finite"),
        (("seed.pt", "seed.pt", "--resolution", "0"), "--resolution"),
        (
            ("seed.pt", "seed.pt", "--teacher", "seed.pt", "--teacher-weight", "2"),
            "--teacher-weight",
        ),
        (("seed.pt", "seed.pt", "--device", "toaster"), "toaster"),
        (("seed.pt", "seed.pt", "--recipe", "none"), "no recipe 'none'"),
        (("seed.pt", "seed.pt", "--temperature", "3"), "--teacher FILE"),
        (("seed.pt", "seed.pt", "--resume", "runs/gone"), "leave the networks out"),
    ],
)
def test_bad_input_is_one_line(place, compare, arguments, message):
    data = () if "--resume" in arguments else ("--data", "photos")
    status, out, err = compare(*arguments, *data)
    assert status == 2, err
    assert out == ""
    lines = [line for line in err.splitlines() if line.startswith("nas")]
    assert len(lines) == 1
    assert re.search(message, lines[0]), lines[0]


def test_images_are_needed(place, compare):
    status, _, err = compare("seed.pt", "seed.pt")
    assert (status, "give --data" in err) == (2, True)


def test_another_folder_is_no_comparison(place, compare):
    (place / "runs" / "x").mkdir(parents=True)
    status, _, err = compare("--resume", "runs/x")
    assert status == 2
    assert "not a comparison's folder" in err


def test_the_device_is_this_machine_by_default(place, compare):
    options = [one for one in QUICK if one not in ("--device", "madds:1")]
    status, out, err = compare("seed.pt", "seed.pt", "--data", "photos", "--json", *options)
    assert status == 0, err
    assert json.loads(out)["networks"][1]["latencies"][0]["ms"] > 0


def test_a_comparison_is_no_network(place, compare, monkeypatch, capsys):
    compare("seed.pt", "mobilenet_v3_small@0.35", "--data", "photos", "--run-name", "c", *QUICK)
    status, _, err = run(monkeypatch, capsys, "show", "runs/c")
    assert status == 2
    assert "runs/c is a comparison of several networks" in err


def test_an_ablation_is_a_list_of_networks(place, monkeypatch, capsys):
    (place / "mine.yaml").write_text(
        "about: kernels\nnetworks:\n- {network: mobilenet_v3_small, width: 0.35}\n"
        "- {network: mobilenet_v3_small, width: 0.35, changes: [kernel@3], resolution: 64}\n"
    )
    status, out, err = run(
        monkeypatch, capsys, "ablate", "mine.yaml", "--data", "photos", "--json", *QUICK
    )
    assert status == 0, err
    first, second = json.loads(out)["networks"]
    assert (first["name"], first["px"]) == ("mobilenet_v3_small@0.35", 32)
    assert (second["name"], second["px"]) == ("mobilenet_v3_small@0.35, kernel@3, 64 px", 64)


@pytest.mark.parametrize("arguments", [(), ("nothing",)])
def test_an_unknown_ablation_lists_those_that_there_are(place, monkeypatch, capsys, arguments):
    status, _, err = run(monkeypatch, capsys, "ablate", *arguments, "--data", "photos")
    assert status == 2
    assert "components, controllers, kernels, multipliers, nonlinearities, rewards" in err
