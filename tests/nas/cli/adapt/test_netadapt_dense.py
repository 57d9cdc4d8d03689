"""`netadapt` with boxes and with masks, as its users meet it."""

import json
import re

import pytest

from nas.checkpoints.checkpoint import Checkpoint, checkpoint_bytes
from nas.checkpoints.usage import Usage
from nas.data.drawn import CLASSES as GARMENTS
from nas.data.drawn import write_scenes
from nas.engine.folder.run_folder import RunFolder
from nas.export.evaluation.examined import read_examined
from search_spaces import REFERENCES
from search_spaces.heads.named import with_head
from search_spaces.network import build
from tests.nas.cli.commands.test_evaluate_dense import boxes, masks

STEPS = ("--device", "madds:1", "--finetune-steps", 1, "--batch-size", 4, "--workers", 0)
CLASSES = {"ssdlite": ("cat", "dog"), "lraspp": ("background", "cat")}


@pytest.fixture
def saved(tmp_path):
    """Writes a checkpoint with a head and classes; None is a classifier."""

    def write(head, classes):
        spec = REFERENCES["mobilenet_v3_small"](width=0.35, resolution=64, classes=len(classes))
        if head is not None:
            spec = with_head(spec, head, classes=len(classes))
        usage = Usage(classes, 64, (0.5,) * 3, (0.25,) * 3, fit="stretch" if head else "crop")
        path = tmp_path / f"{head or 'classifier'}.pt"
        path.write_bytes(checkpoint_bytes(Checkpoint(spec, build(spec).state_dict(), usage)))
        return path

    return write


def test_a_segmentation_network_becomes_narrower(netadapt, nas, saved, tmp_path):
    seed, data = saved("lraspp", CLASSES["lraspp"]), masks(tmp_path / "masks")
    common = ("--seed", seed, "--data", data, "--target-ratio", 0.9, *STEPS)
    code, out, err = netadapt(*common, "--final-epochs", 0.4, "--run-name", "one", "--json")
    assert code == 0, err
    result = json.loads(out)
    assert result["reached"]
    assert [final["kind"] for final in result["finals"]] == ["finetune"]  # the recipe's default
    assert "the final network is trained by fine-tuning" in " ".join(err.split())
    assert "test mIoU: " in err
    assert re.search(r"step +mIoU +latency ms", err)
    settings = json.loads((tmp_path / "runs" / "one" / "run.json").read_text())["settings"]
    assert settings["recipe"]["optimizer"]["name"] == "adamw"  # of the recipe segment
    assert settings["recipe"]["batch_size"] == 4
    run = RunFolder(tmp_path / "runs" / "one")
    code, out, err = nas("evaluate", run / "adapted.pt", "--data", data, "--json")
    assert code == 0, err
    seen = read_examined(run)
    assert (seen.metric, seen.value) == ("mIoU", json.loads(out)["mIoU"])
    report = (run / "report.html").read_text()
    assert "adapted.pt on the test images" in report
    assert report.count("data:image/jpeg") == sum(len(one.pictures) for one in seen.worst) > 0
    code, out, err = netadapt("--resume", tmp_path / "runs" / "one", "--workers", 0, "--json")
    assert code == 0, err
    assert json.loads(out) | {"run": ""} == result | {"run": ""}
    assert read_examined(run) == seen


@pytest.mark.parametrize("head", ["ssdlite", "lraspp"])
def test_of_boxes_and_masks_those_of_the_seeds_task_are_read(netadapt, saved, tmp_path, head):
    seed, data = saved(head, GARMENTS if head == "ssdlite" else ("background", *GARMENTS)), "scenes"
    list(write_scenes(tmp_path / data, {"train": 24, "test": 8}, px=64, seed=0))
    options = ("--data", tmp_path / data, "--target-ratio", 0.9, "--dry-run", "--json")
    code, out, err = netadapt("--seed", seed, *options, *STEPS)
    assert code == 0, err
    assert json.loads(out)["nothing_to_do"] is False


@pytest.mark.parametrize(
    ("head", "make", "message"),
    [
        (None, boxes, "SEED is for the task classify, DATA is annotated for detect: train it on"),
        (None, masks, "first, with nas train SEED --data DATA"),
        ("ssdlite", masks, "SEED is for the task detect, DATA is annotated for segment"),
    ],
)
def test_a_seed_of_another_task_is_to_be_trained_first(
    netadapt, saved, tmp_path, head, make, message
):
    seed, data = saved(head, ("cat", "dog")), make(tmp_path / "data")
    code, _, err = netadapt("--seed", seed, "--data", data, "--target-ratio", 0.5, *STEPS)
    assert code == 2
    assert message.replace("SEED", str(seed)).replace("DATA", str(data)) in err
    assert "reading images" not in err
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(("head", "make"), [("ssdlite", boxes), ("lraspp", masks)])
def test_other_classes_and_targets_out_of_reach_are_refused(netadapt, saved, tmp_path, head, make):
    data = make(tmp_path / "data")
    other = saved(head, ("bird", "fish"))
    code, _, err = netadapt("--seed", other, "--data", data, "--target-ratio", 0.5, *STEPS)
    assert code == 2
    assert f"{data} does not fit {other}: the data's class" in err
    seed = saved(head, CLASSES[head])
    code, _, err = netadapt("--seed", seed, "--data", data, "--target-ratio", 0.01, *STEPS)
    assert code == 2
    assert "cannot be reached: with every layer at its minimum width" in err
    assert not (tmp_path / "runs").exists()
