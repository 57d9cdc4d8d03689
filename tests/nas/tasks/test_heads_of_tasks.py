"""A network's head by task and name, and which task a data set is read for."""

import pytest
import torch
from PIL import Image

from nas.checkpoints.checkpoint import Checkpoint
from nas.checkpoints.usage import Usage
from nas.data.finding import task_of_source, tasks_of_source
from nas.data.load import open_source
from nas.tasks.heads import headed
from search_spaces import REFERENCES, InputError
from search_spaces.network import build
from tests.nas.mask_folders import voc

BOX = (
    "<annotation><object><name>cat</name><bndbox><xmin>2</xmin><ymin>2</ymin><xmax>20</xmax>"
    "<ymax>16</ymax></bndbox></object></annotation>"
)


@pytest.fixture
def both(tmp_path):
    """Pascal VOC's folder with boxes and masks of the same images."""
    root = voc(tmp_path / "VOC")
    for image in list((root / "JPEGImages").iterdir()):
        (root / "Annotations").mkdir(exist_ok=True)
        (root / "Annotations" / f"{image.stem}.xml").write_text(BOX)
    return root


def test_a_folder_with_boxes_and_masks_is_read_for_the_task_that_is_given(both, caplog):
    assert tasks_of_source(str(both)) == ("detect", "segment")
    assert open_source(str(both)).task == "detect"
    assert "has boxes and masks: the boxes are read" in caplog.text
    caplog.clear()
    masks = open_source(str(both), task="segment")
    assert (masks.task, len(masks.classes)) == ("segment", 21)
    assert open_source(str(both), task="detect").task == "detect"
    assert "boxes and masks" not in caplog.text


def test_a_task_that_the_images_are_not_annotated_for_is_refused(both, tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(4):
            Image.new("RGB", (16, 16)).save(tmp_path / "photos" / name / f"{number}.png")
    with pytest.raises(
        InputError, match="photos is annotated for the task classify, not for detect"
    ):
        task_of_source(str(tmp_path / "photos"), "detect")
    with pytest.raises(InputError, match="VOC is annotated for the task detect, not for classify"):
        open_source(str(both), task="classify")
    with pytest.raises(InputError, match="none"):
        open_source(str(tmp_path / "none"), task="detect")


@pytest.mark.parametrize("name", ["ssdlite-half", "lraspp-rf2-f64", "raspp"])
def test_a_classifier_gets_a_head_by_name_and_keeps_what_fits_of_its_weights(name):
    spec = REFERENCES["mobilenet_v3_small"](resolution=64, classes=5)
    start = Checkpoint(
        spec, build(spec).state_dict(), Usage(tuple("abcde"), 64, (0.5,) * 3, (0.2,) * 3)
    )
    task = "detect" if name.startswith("ssdlite") else "segment"
    made = start.for_task(task, ("x", "y"), head=name)
    assert made.spec == headed(spec, task, classes=2, head=name)
    made.network()(torch.zeros(1, 3, 64, 64))
    for tensor, theirs in start.weights.items():
        if tensor.startswith("blocks."):
            ours = made.weights[tensor]
            assert torch.equal(ours, theirs[tuple(map(slice, ours.shape))]), tensor


def test_a_head_must_be_of_the_task_and_the_first_one():
    spec = REFERENCES["mobilenet_v2"]()
    with pytest.raises(
        InputError, match="--head lraspp is for the task segment, and the images are"
    ):
        headed(spec, "detect", classes=2, head="lraspp")
    with pytest.raises(InputError, match=r"no head 'sdlite'.*did you mean ssdlite"):
        headed(spec, "detect", classes=2, head="sdlite")
    detector = headed(spec, "detect", classes=2)
    with pytest.raises(InputError, match="has a head for the task detect already"):
        headed(detector, "detect", classes=2, head="ssdlite-half")
