"""`nas profile` from the command to a search that uses its table."""

import json

import pytest

from latency import DEVICES, Kind
from tests.latency.test_table import Lab, measured


@pytest.fixture(autouse=True)
def lab(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(DEVICES, "lab", Kind(lambda _: measured(Lab()), "lab", "a made-up device"))
    monkeypatch.setitem(
        DEVICES, "burning", Kind(lambda _: measured(Lab(dies_after=60)), "burning", "")
    )


FEW = (
    "--networks",
    "3",
    "--fitted",
    "3",
    "--held-out",
    "3",
    "--resolution",
    "32",
    "--classes",
    "2",
)


def test_a_table_is_made_and_used(nas, tmp_path):
    code, out, err = nas("profile", "--device", "lab", *FEW, "--json")
    assert code == 0, err
    document = json.loads(out)
    assert document["path"] == "lab-mnasnet-32.jsonl"
    assert document["mape"] < 0.01
    code, out, _ = nas("devices", "table:lab-mnasnet-32.jsonl", "--json")
    # The probe is a MobileNetV3, whose pieces a table of three networks has not got.
    assert "has no 'stem" in json.loads(out)["checked"][0]["problem"] or "px" in out
    code, _, err = nas("profile", "--device", "lab", *FEW)
    assert code == 2
    assert "exists: continue it with --resume" in err
    code, _, err = nas(
        "profile", "--device", "lab", *FEW, "--resume", "--also", "mobilenet_v3_small"
    )
    assert code == 0
    assert "next: " in err
    name = "mobilenet_v3_small"
    code, out, _ = nas(
        "measure", name, "--resolution", 32, "--device", "table:lab-mnasnet-32.jsonl"
    )
    assert code == 2  # 1000 classes, and the table has 2
    code, *_ = nas("show", name, "--classes", 2)
    assert code == 0


def test_a_device_that_goes_away_leaves_what_was_measured(nas, tmp_path):
    code, _, err = nas("profile", "--device", "burning", *FEW, "-o", "table.jsonl")
    assert code == 1
    assert "burnt down" in err
    assert "profile --resume -o table.jsonl" in " ".join(err.split())
    assert (tmp_path / "table.jsonl").read_text().count('"piece"') > 0
    code, *_ = nas("profile", "--device", "lab", *FEW, "-o", "table.jsonl", "--resume")
    assert code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--device", "madds:1"), "estimates latency: profile one that measures"),
        (("--space", "nope", "--device", "lab"), "unknown space 'nope'"),
        (("--device", "lab", "-o", "no/such/table.jsonl"), "No such file or directory"),
    ],
)
def test_bad_input(nas, arguments, message):
    code, _, err = nas("profile", *FEW, *arguments)
    assert code == 2
    assert message in err
