"""`nas export` of detectors and segmentation networks: post-processing and int8, used by other commands."""

import json
from dataclasses import replace

import pytest

from latency import Device, Latency
from nas.checkpoints.checkpoint import Checkpoint, checkpoint_bytes, load_checkpoint
from nas.checkpoints.usage import Usage
from nas.data.drawn import CLASSES, write_scenes
from nas.export.models import open_model
from nas.export.quantize import ONNX
from nas.tasks import task_of
from tests.nas.cli.commands.test_evaluate_dense import boxes, masks
from tests.nas.export.test_postprocess import seed as drawn_seed

PX = 96
KINDS = {"ssdlite": (boxes, ("cat", "dog"), "AP"), "lraspp": (masks, ("background", "cat"), "mIoU")}


@pytest.fixture(params=KINDS)
def given(request, tmp_path, monkeypatch):
    """A network, images of its task, and the name of the metric; no latency is measured."""
    make, classes, metric = KINDS[request.param]
    lab = Latency.exactly(1.0, Device("lab", "lab"))
    untimed = replace(ONNX, latencies=lambda models: [lab for _ in models])
    monkeypatch.setattr("nas.export.quantize.ONNX", untimed)
    like = drawn_seed(request.param)
    usage = Usage(classes, PX, like.usage.mean, like.usage.std, fit="stretch")
    checkpoint = Checkpoint(like.spec, like.weights, like.usage).with_classes(classes)
    path = tmp_path / "net.pt"
    path.write_bytes(checkpoint_bytes(replace(checkpoint, usage=usage)))
    return path, make(tmp_path / "data"), metric


def evaluated(nas, file, data):
    code, out, err = nas("evaluate", file, "--data", data, "--json")
    assert code == 0, err
    return json.loads(out)


def test_a_file_with_post_processing_is_evaluated_and_predicts(nas, tmp_path, given):
    network, data, metric = given
    file = tmp_path / "net-results.onnx"
    code, out, err = nas(
        "export", network, "--with-postprocessing", "--dynamic-batch", "--data", data, "--json"
    )
    assert code == 0, err
    assert json.loads(out)["path"] == str(file)
    assert json.loads(out)["checked_images"] == 4
    assert json.loads(file.with_suffix(".json").read_text())["outputs"] == "predictions"
    found, expected = (evaluated(nas, one, data)[metric] for one in (file, network))
    # Classes of pixels are chosen at the network's resolution, not at that of the masks.
    assert found == pytest.approx(expected, abs=0.02)
    code, out, err = nas("predict", file, data / "test", "--json", "--draw", tmp_path / "drawn")
    assert code == 0, err
    assert {row["image_id"] for row in json.loads(out)} == {0, 1, 2, 3} or metric == "mIoU"
    assert len(list((tmp_path / "drawn").iterdir())) >= 4
    checkpoint = load_checkpoint(network)
    images, _ = next(iter(_test_images(data)))
    task = task_of(open_model(file).feed.task)
    ours, theirs = (
        task.predictions(open_model(one).tensors(images), spec=checkpoint.spec)
        for one in (file, network)
    )
    for one, other in zip(ours, theirs, strict=True):
        assert one.agreement(other) > 0.95


def _test_images(data):
    from nas.data.load import load_dataset

    for images, targets in load_dataset(str(data), resolution_px=PX).test.batches(4):
        yield images.numpy(), targets


def test_int8_is_compared_by_the_metric_of_the_task(nas, tmp_path, given):
    network, data, metric = given
    code, out, err = nas(
        "export", network, "--int8", "--with-postprocessing", "--data", data, "--json"
    )
    assert code == 0, err
    document = json.loads(out)
    assert document["metric"] == metric
    assert document["calibrated_on"] == 12
    change = document["after"]["accuracy"] - document["before"]["accuracy"]
    assert document["difference"]["points"] == pytest.approx(100 * change)
    assert document["difference"]["low"] <= document["difference"]["points"]
    assert 0.5 < document["agreement"] <= 1
    file = tmp_path / "net-results-int8.onnx"
    code, out, err = nas("evaluate", file, "--data", data, "--split", "val", "--json")
    assert code == 0, err
    assert json.loads(out)[metric] == pytest.approx(document["after"]["accuracy"], abs=0.02)


def test_int8_needs_images_of_the_networks_task(nas, tmp_path, given):
    network, _, metric = given
    other = (masks if metric == "AP" else boxes)(tmp_path / "other")
    code, _, err = nas("export", network, "--int8", "--data", other)
    assert (code, err.count("\n")) == (2, 1)
    assert "is annotated for the task" in err


@pytest.mark.parametrize("options", [("--int8",), ()])
def test_of_boxes_and_masks_those_of_the_networks_task_are_read(nas, tmp_path, given, options):
    network, _, metric = given
    classes = CLASSES if metric == "AP" else ("background", *CLASSES)
    checkpoint = load_checkpoint(network).with_classes(classes)
    network.write_bytes(checkpoint_bytes(checkpoint))
    list(write_scenes(tmp_path / "scenes", {"train": 24, "test": 8}, px=PX, seed=0))
    code, out, err = nas("export", network, *options, "--data", tmp_path / "scenes", "--json")
    assert code == 0, err
    assert json.loads(out).get("metric", metric) == metric
