"""`nas-search` with boxes and with masks: from images to files, on from the log, and what it refuses."""

import json
import re

import pytest

from nas.checkpoints.checkpoint import checkpoint_bytes, load_checkpoint
from nas.engine.folder.run_folder import RunFolder
from nas.export.evaluation.examined import FILE as EXAMINED
from nas.export.evaluation.examined import read_examined
from nas.searching.results.record import RunRecord
from nas.tasks.heads import headed
from search_spaces import REFERENCES, count
from tests.nas.report.pages import figures_in, text_of
from tests.nas.scene_folders import box_scenes, mask_scenes
from tests.nas.small_parent import deep_parent, small_parent

CONFIG = """
recipe: {steps: 2, batch_size: 8}
parent: {recipe: {steps: 6, batch_size: 8}, ranking_images: 12}
finals: {count: 1, repeats: 1, recipe: {steps: 3, batch_size: 8}}
"""

COLORS = ("blue", "green", "red")


SCRATCH = """
recipe: {steps: 2, batch_size: 8}
finals: {count: 1, repeats: 0}
"""


@pytest.fixture
def search(nas_search, tmp_path):
    (tmp_path / "short.yaml").write_text(CONFIG)
    (tmp_path / "scratch.yaml").write_text(SCRATCH)
    (tmp_path / "parent.pt").write_bytes(checkpoint_bytes(deep_parent()))
    options = ("--config", "short.yaml", "--device", "madds:1", "--workers", 0)
    return lambda *more: nas_search(*options, *more)


FROM_PARENT = ("--resolutions", "64,32", "--parent", "parent.pt", "--trials", 4, "--batch-size", 2)


def test_a_detector_from_boxes_to_files_and_on_from_the_log(search, nas, nas_search, tmp_path):
    data = box_scenes(tmp_path / "scenes")
    run = tmp_path / "runs" / "one"
    status, out, err = search(*FROM_PARENT, "--data", data, "--run-name", "one", "--json")
    assert status == 0, err
    said = " ".join(err.split())
    assert "parent.pt, fine-tuned on these 3 classes first" in said
    aside = re.search(r"\((\d+) of them are set aside to rank trials\)", said)
    result = json.loads(out)
    assert (result["task"], result["metric"]) == ("detect", "AP")
    assert result["verdict"]["metric"] == "AP"
    assert "points of AP (95% interval" in said
    assert f"AP on the {8 + int(aside[1])} images that rank trials (95% interval" in said
    assert "test AP:" in said
    shipped = load_checkpoint(run / "seed.pt")
    assert shipped.spec.head.kind == "ssdlite"
    assert shipped.usage.classes == COLORS
    assert result["onnx"]["accuracy"] == pytest.approx(result["accuracy"], abs=1e-3)

    status, out, err = nas("evaluate", run / "seed.pt", "--data", data, "--json")
    assert status == 0, err
    assert json.loads(out)["AP"] == pytest.approx(result["test_accuracy"], abs=1e-6)
    report = (run / "report.html").read_text()
    assert "<h2>AP against" in report
    seen = read_examined(RunFolder(run))
    assert (seen.value, seen.images) == (json.loads(out)["AP"], json.loads(out)["images"])
    assert "seed.pt on the test images" in report
    assert report.count("data:image/jpeg") == sum(len(one.pictures) for one in seen.worst) > 0
    assert {"scatter", "chart-0"} <= set(figures_in(report))
    (run / EXAMINED).rename(tmp_path / EXAMINED)  # as in runs of before
    assert nas("report", run)[0] == 0
    assert "on the test images" not in text_of((run / "report.html").read_text())
    assert "without post-processing" in report
    assert "taught by it" not in report
    record = RunRecord.read(RunFolder(run))
    assert (record.metric, record.metadata.data.task) == ("AP", "detect")

    log = (run / "trials.jsonl").read_text().splitlines()
    (run / "trials.jsonl").write_text("\n".join(log[:3]) + "\n")
    (run / "finals.jsonl").unlink()
    (tmp_path / "parent.pt").unlink()  # the run has its own copy
    status, out, err = nas_search("--resume", run, "--workers", 0, "--json")
    assert status == 0, err
    again = json.loads(out)
    assert again["verdict"] == result["verdict"]
    assert (run / EXAMINED).read_bytes() == (tmp_path / EXAMINED).read_bytes()
    assert (run / "trials.jsonl").read_text().count("\n") == len(log)


def test_a_segmentation_network_with_a_head_by_name_and_a_rival(search, tmp_path):
    data = mask_scenes(tmp_path / "scenes")
    (tmp_path / "other.pt").write_bytes(checkpoint_bytes(small_parent()))
    more = ("--head", "lraspp-f64-os32", "--rival", "other.pt", "--target-ms", 2)
    status, out, err = search(*FROM_PARENT, *more, "--data", data, "--run-name", "one", "--json")
    assert status == 0, err
    result, run = json.loads(out), tmp_path / "runs" / "one"
    assert (result["task"], result["metric"]) == ("segment", "mIoU")
    assert "% mIoU at" in err
    assert load_checkpoint(run / "parent.pt").spec.head.filters == 64
    names = [rival["name"] for rival in json.loads((run / "rivals.json").read_text())["rivals"]]
    assert names[0].startswith("other at")
    labels = dict(RunRecord.read(RunFolder(run)).labels)
    assert "head layers" in labels
    assert result["chance"] > 0


def test_a_trained_detector_is_searched_as_it_is(search, tmp_path):
    data = box_scenes(tmp_path / "scenes")
    knows = deep_parent().for_task("detect", COLORS)
    (tmp_path / "knows.pt").write_bytes(checkpoint_bytes(knows))
    status, out, err = search(
        *FROM_PARENT, "--parent", "knows.pt", "--data", data, "--dry-run", "--json"
    )
    assert status == 0, err
    assert "knows.pt, whose weights all candidates inherit" in err
    assert "how uncertain AP is on 8 images shows when the parent is evaluated" in err
    assert json.loads(out)["references_ms"]["the parent"] > 0


def test_a_space_from_scratch_takes_the_head_and_a_parents_weights(
    search, searched_space, tmp_path
):
    data = mask_scenes(tmp_path / "scenes")
    more = ("--space", searched_space, "--resolution", 32, "--trials", 2, "--batch-size", 2)
    run = tmp_path / "runs" / "one"
    lent = ("--parent", "parent.pt", "--target-ms", 0.5)
    status, out, err = search(
        "--config", "scratch.yaml", *more, *lent, "--data", data, "--run-name", "one", "--json"
    )
    assert status == 0, err
    assert "of a network's weights begin as those of parent.pt" in " ".join(err.split())
    assert json.loads(out)["metric"] == "mIoU"
    assert load_checkpoint(run / "seed.pt").spec.head.kind == "lraspp"


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (("--data", "boxes", "--task", "segment"), "boxes is annotated for the task detect, not for"),
        (("--data", "boxes", "--task", "detekt"), "--task detekt: no such task: choose from"),
        (("--data", "boxes", "--head", "lraspp"), "--head lraspp is for the task segment"),
        (("--data", "boxes", "--head", "ssdlite-f64"), "head ssdlite-f64: no option 'f64'"),
        (("--data", "boxes", "--parent", "masks.pt"), "masks.pt is a network for the task segment"),
        (("--data", "boxes", "--parent", "boxes.pt", "--head", "ssdlite"),
         "the network has a head for the task detect already"),
        (("--data", "boxes", "--parent", "shallow.pt"), "ssdlite reads the map before the stride"),
        (("--data", "boxes", "--resolutions", "64,40"), "resolution 40 is not a multiple of"),
        (("--data", "boxes", "--rival", "masks.pt"), "--rival masks is a network for the task segment"),
        (("--data", "boxes", "--target-ms", 1000), "so there is nothing to search"),
        (("--data", "photos", "--parent", "boxes.pt"), "boxes.pt is a network for the task detect"),
        (("--data", "photos", "--head", "ssdlite"), "--head ssdlite is for the task detect"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_one_line_before_anything_is_trained(
    search, photos, tmp_path, options, problem
):
    box_scenes(tmp_path / "boxes")
    mask_scenes(tmp_path / "masks")
    for name, network in (
        ("boxes", deep_parent().for_task("detect", ("a", "b"))),
        ("masks", deep_parent().for_task("segment", ("a", "b"))),
        ("shallow", small_parent()),
    ):
        (tmp_path / f"{name}.pt").write_bytes(checkpoint_bytes(network))
    status, _, err = search("--parent", "parent.pt", *options)
    assert status == 2, err
    assert problem in err.splitlines()[-1]
    assert not (tmp_path / "runs").exists()


def test_mnasnets_space_has_the_references_of_the_task(search, tmp_path):
    data = box_scenes(tmp_path / "scenes")
    mnasnet = ("--config", "scratch.yaml", "--space", "mnasnet", "--resolution", 64, "--data", data)
    status, _, err = search(*mnasnet, "--head", "ssdlite-half")
    assert status == 2
    assert "space mnasnet decides the widths of its last stage" in err.splitlines()[-1]
    status, out, err = search(*mnasnet, "--dry-run", "--json")
    assert status == 0, err
    plan = json.loads(out)
    reference = headed(REFERENCES["mobilenet_v3_large"](resolution=64), "detect", classes=3)
    assert plan["target_ms"] == plan["references_ms"]["mobilenet_v3_large"]
    assert plan["target_ms"] == pytest.approx(count(reference).madds / 1e6)
