"""Post-processing inside ONNX files beside that in torch: boxes one by one, and the class of each pixel."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from torch.nn import functional

from nas.checkpoints.checkpoint import Checkpoint
from nas.checkpoints.usage import Usage
from nas.export.int8_onnx import quantize_onnx
from nas.export.models import of_onnx
from nas.export.onnx_export import ExportError, checked_onnx, with_preprocessing
from nas.export.onnx_file import describe_onnx, stamp_onnx
from nas.export.postprocess import with_postprocessing
from nas.tasks import task_of
from nas.tasks.detection.decoding import detections
from nas.tasks.detection.detection import Detection
from nas.tasks.detection.postprocessing import DetectorPostprocessing
from search_spaces import REFERENCES, InputError
from search_spaces.heads.anchors import anchors
from search_spaces.heads.named import with_head
from search_spaces.network import build

PX, CLASSES = 96, ("cat", "dog", "hen")
USAGE = Usage(CLASSES, PX, (0.5,) * 3, (0.25,) * 3, fit="stretch")


def seed(head: str, *, scores: str = "softmax") -> Checkpoint:
    """A small network, drawn so that its outputs differ from place to place."""
    spec = with_head(
        REFERENCES["mobilenet_v3_small"](width=0.35, resolution=PX), head, classes=len(CLASSES)
    )
    if scores != "softmax":
        spec = replace(spec, head=replace(spec.head, scores=scores))
    network, generator = build(spec), torch.Generator().manual_seed(0)
    for weight in network.parameters():
        if weight.ndim == 4:
            torch.nn.init.normal_(weight, 0, (2 / weight[0].numel()) ** 0.5, generator=generator)
    return Checkpoint(spec, network.state_dict(), USAGE)


def images(count: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(count, 3, PX, PX)).astype(np.float32)


def results(model: bytes, given: np.ndarray) -> dict[str, np.ndarray]:
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, {"image": given}), strict=True))


def same_boxes(found: dict[str, np.ndarray], index: int, expected) -> None:
    """Boxes have one of their class, score and corners on the other side, but for ties at the limits."""
    count = int(found["count"][index])
    assert count == len(expected) > 20
    scores, boxes = found["scores"][index], found["boxes"][index]
    assert np.all(np.diff(scores) <= 0)
    assert not scores[count:].any()
    assert not boxes[count:].any()
    assert np.allclose(scores[:count], expected.scores, atol=1e-5)
    apart = np.abs(boxes[:count, None] - expected.corners.numpy()).max(axis=2)
    same = (apart < 1e-4) & (found["classes"][index][:count, None] == expected.classes.numpy())
    assert same.any(axis=0).mean() > 0.98
    assert same.any(axis=1).mean() > 0.98


@pytest.mark.parametrize("scores", ["softmax", "sigmoid"])
def test_boxes_of_a_batch_are_those_of_our_decoding(scores):
    checkpoint, batch = seed("ssdlite", scores=scores), images(3)
    network, spec = checkpoint.network(), checkpoint.spec
    found = results(with_postprocessing(checked_onnx(network, dynamic_batch=True), spec), batch)
    assert found["boxes"].shape == (3, 300, 4)
    with torch.inference_mode():
        raw, offsets = network(torch.from_numpy(batch))
    expected = detections(raw, offsets, torch.tensor(anchors(spec)), kind=scores)
    for index, boxes in enumerate(expected):
        same_boxes(found, index, boxes)
    fixed = with_postprocessing(checked_onnx(network), spec)
    same_boxes(results(fixed, batch[1:2]), 0, expected[1])


def test_limits_are_those_of_our_decoding():
    """Few candidates of a class, few boxes in all, and images in which nothing is seen."""
    spec = seed("ssdlite").spec
    every = torch.tensor(anchors(spec))
    generator = torch.Generator().manual_seed(1)
    raw = 3 * torch.randn(2, len(every), 4, generator=generator)
    offsets = torch.randn(2, len(every), 4, generator=generator)
    raw[1, :, 0] += 30  # all background
    keep = replace(DetectorPostprocessing(every, kind="softmax").keep, candidates=9, detections=20)
    process = DetectorPostprocessing(every, kind="softmax", keep=keep)
    boxes, scores, classes, count = process(raw, offsets)
    expected = detections(raw, offsets, every, kind="softmax", keep=keep)
    assert count.tolist() == [len(one) for one in expected] == [20, 0]
    assert torch.equal(scores[0], expected[0].scores)
    assert torch.equal(classes[0], expected[0].classes)
    assert torch.equal(boxes[0], expected[0].corners)


def test_an_image_without_objects_has_none_in_the_file():
    checkpoint = seed("ssdlite")
    for name, tensor in checkpoint.weights.items():
        if name.startswith("head.scores") and name.endswith(".1.bias") and tensor.numel() == 24:
            tensor.view(6, 4)[:, 0] += 100
    found = results(
        with_postprocessing(checked_onnx(checkpoint.network()), checkpoint.spec), images(1)
    )
    assert found["count"].tolist() == [0]
    assert not found["scores"].any()


@pytest.mark.parametrize("head", ["lraspp", "raspp"])
def test_classes_of_pixels_are_those_of_the_largest_enlarged_logit(head):
    checkpoint, batch = seed(head), images(3)
    network = checkpoint.network()
    model = with_postprocessing(checked_onnx(network, dynamic_batch=True), checkpoint.spec)
    found = results(model, batch)
    with torch.inference_mode():
        logits = network(torch.from_numpy(batch))
        expected = functional.interpolate(logits, size=(PX, PX), mode="bilinear").argmax(dim=1)
    assert found["classes"].dtype == np.uint8
    assert len(np.unique(found["classes"])) > 1
    assert np.mean(found["classes"] == expected.numpy()) > 0.999


@pytest.mark.parametrize("head", ["ssdlite", "lraspp"])
def test_pixels_in_and_int8_layers_go_with_it(head):
    checkpoint = seed(head)
    spec = checkpoint.spec
    pixels = np.random.default_rng(1).integers(0, 256, (4, 3, PX, PX), dtype=np.uint8)
    raw = quantize_onnx(checked_onnx(with_preprocessing(checkpoint)), pixels)
    kinds = {node.op_type for node in onnx.load_from_string(raw).graph.node}
    assert "QuantizeLinear" in kinds
    feed = describe_onnx(raw, USAGE).of_network(spec)
    finished = stamp_onnx(with_postprocessing(raw, spec), replace(feed, outputs="predictions"))
    ours, theirs = of_onnx(finished), of_onnx(stamp_onnx(raw, feed))
    assert (ours.feed.outputs, ours.feed.values) == ("predictions", "pixels")
    task = task_of(ours.feed.task)
    pairs = (task.predictions(model.tensors(pixels), spec=spec) for model in (ours, theirs))
    for one, other in zip(*pairs, strict=True):
        assert one.agreement(other) > 0.95


def test_nodes_behind_the_last_layers_stay_in_float():
    """Each predictor keeps its own range: nothing is quantized after them."""
    checkpoint = seed("ssdlite")
    model = onnx.load_from_string(quantize_onnx(checked_onnx(checkpoint.network()), images(2)))
    made_by = {name: node for node in model.graph.node for name in node.output}
    joined = [made_by[output.name] for output in model.graph.output]
    assert [node.op_type for node in joined] == ["Concat", "Concat"]
    for node in joined:
        assert {made_by[name].op_type for name in node.input} == {"Reshape"}


def test_a_classifier_has_none():
    spec = REFERENCES["mobilenet_v3_small"](width=0.35, resolution=32, classes=3)
    with pytest.raises(InputError, match="a classifier of 3 classes has no post-processing"):
        with_postprocessing(checked_onnx(build(spec)), spec)


def test_results_that_are_not_torchs_are_refused(monkeypatch):
    class Wrong(DetectorPostprocessing):
        """Gives the boxes other corners in torch than in the file."""

        def forward(self, scores, offsets):
            boxes, *others = super().forward(scores, offsets)
            return (boxes if torch.onnx.is_in_onnx_export() else boxes.flip(2)), *others

    checkpoint = seed("ssdlite")
    every = torch.tensor(anchors(checkpoint.spec))
    monkeypatch.setattr(
        Detection, "postprocessing", lambda self, spec: Wrong(every, kind="softmax")
    )
    with pytest.raises(ExportError, match=r"post-processing agrees with torch's by \d+\.\d% only"):
        with_postprocessing(checked_onnx(checkpoint.network()), checkpoint.spec)
