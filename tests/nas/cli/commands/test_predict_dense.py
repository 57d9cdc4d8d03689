"""`nas predict` with detectors and segmentation networks."""

import json

import numpy as np
import pytest
from PIL import Image

from nas.checkpoints.checkpoint import Checkpoint, checkpoint_bytes
from nas.checkpoints.usage import Usage
from nas.tasks.drawing.legend import LEGEND_PX
from search_spaces import REFERENCES
from search_spaces.heads.named import with_head
from search_spaces.network import build

CLASSES = ("cat", "dog")


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, size in (("a.jpg", (90, 60)), ("b.png", (50, 70))):
        pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / name)
    return folder


def network(tmp_path, head: str):
    spec = with_head(REFERENCES["mobilenet_v3_small"](resolution=64), head, classes=2)
    usage = Usage(CLASSES, 64, (0.5,) * 3, (0.25,) * 3, fit="stretch")
    path = tmp_path / "seed.pt"
    path.write_bytes(checkpoint_bytes(Checkpoint(spec, build(spec).state_dict(), usage)))
    return path


def test_boxes_are_printed_and_drawn_in_the_size_of_the_image(nas, tmp_path, photos):
    seed, drawn = network(tmp_path, "ssdlite"), tmp_path / "drawn"
    code, out, err = nas("predict", seed, photos, "--json", "--draw", drawn)
    assert code == 0, err
    found = json.loads(out)
    assert {row["image_id"] for row in found} == {0, 1}
    for row in found:
        width, height = {"a.jpg": (90, 60), "b.png": (50, 70)}[row["file_name"].split("/")[-1]]
        x, y, w, h = row["bbox"]
        assert -1e-3 <= x <= x + w <= width + 1e-3
        assert -1e-3 <= y <= y + h <= height + 1e-3
        assert row["category"] == CLASSES[row["category_id"]]
    assert Image.open(drawn / "0-a.png").size == (90, 60)
    assert Image.open(drawn / "1-b.png").size == (50, 70)


def test_masks_are_run_lengths_of_the_image(nas, tmp_path, photos):
    seed = network(tmp_path, "lraspp")
    code, out, err = nas("predict", seed, photos / "a.jpg", "--json")
    assert code == 0, err
    rows = json.loads(out)
    assert all(row["segmentation"]["size"] == [60, 90] for row in rows)
    inside = [sum(row["segmentation"]["counts"][1::2]) for row in rows]
    assert sum(inside) == 60 * 90
    code, out, _ = nas("predict", seed, photos / "a.jpg")
    assert code == 0
    assert out.startswith(f"{photos / 'a.jpg'}  ")
    assert "%" in out


def test_bad_images_are_told_and_the_others_seen(nas, tmp_path, photos):
    seed = network(tmp_path, "ssdlite")
    (photos / "c.jpg").write_bytes(b"no image")
    code, out, err = nas("predict", seed, photos, "--json")
    assert code == 1
    assert "c.jpg: cannot be read: not an image" in err
    assert json.loads(out)


def test_a_classifier_has_nothing_to_draw(nas, tmp_path, photos):
    spec = REFERENCES["mobilenet_v3_small"](resolution=64, classes=2)
    usage = Usage(CLASSES, 64, (0.5,) * 3, (0.25,) * 3)
    path = tmp_path / "seed.pt"
    path.write_bytes(checkpoint_bytes(Checkpoint(spec, build(spec).state_dict(), usage)))
    code, _, err = nas("predict", path, photos, "--draw", tmp_path / "drawn")
    assert code == 2
    assert "--draw draws boxes and masks" in err


def coco_file(tmp_path, photos, categories):
    """COCO's JSON of the photos, with ids that are not their places, and an object in each."""
    sizes = {"a.jpg": (90, 60), "b.png": (50, 70)}
    images = [
        {"id": 100 + number, "file_name": name, "width": width, "height": height}
        for number, (name, (width, height)) in enumerate(sizes.items())
    ]
    objects = [
        {"id": 1 + number, "image_id": image["id"], "category_id": categories[0]["id"],
         "bbox": [5, 5, 30, 30], "area": 900, "iscrowd": 0}
        for number, image in enumerate(images)
    ]  # fmt: skip
    path = tmp_path / "instances.json"
    path.write_text(
        json.dumps({"images": images, "annotations": objects, "categories": categories})
    )
    return path


def test_results_with_the_ids_of_a_coco_file_are_read_by_pycocotools(nas, tmp_path, photos):
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    categories = [{"id": 18, "name": "dog"}, {"id": 17, "name": "cat"}]
    truth = coco_file(tmp_path, photos, categories)
    seed = network(tmp_path, "ssdlite")
    code, out, err = nas("predict", seed, photos, "--json", "--coco", truth)
    assert code == 0, err
    rows = json.loads(out)
    assert {(row["category"], row["category_id"]) for row in rows} == {("cat", 17), ("dog", 18)}
    known = COCO(str(truth))
    evaluated = COCOeval(known, known.loadRes(rows), "bbox")
    evaluated.evaluate()
    matched = [image for image in evaluated.evalImgs if image is not None]
    assert {image["image_id"] for image in matched} == {100, 101}


@pytest.mark.parametrize(
    ("categories", "option", "reason"),
    [
        ([{"id": 1, "name": "cat"}], "--json", "has no category 'dog'"),
        ([{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}], "", "--coco"),
    ],
)
def test_a_coco_file_of_other_classes_is_refused(nas, tmp_path, photos, categories, option, reason):
    truth = coco_file(tmp_path, photos, categories)
    options = [option] if option else []
    code, out, err = nas("predict", network(tmp_path, "ssdlite"), photos, "--coco", truth, *options)
    assert (code, out) == (2, "")
    assert reason in " ".join(err.split())


def test_an_image_that_the_coco_file_lacks_is_named(nas, tmp_path, photos):
    (photos / "b.png").rename(photos / "c.png")
    truth = coco_file(tmp_path, photos, [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}])
    code, _, err = nas("predict", network(tmp_path, "ssdlite"), photos, "--json", "--coco", truth)
    assert code == 2
    assert "has no image c.png" in " ".join(err.split())


def test_drawn_masks_have_a_legend(nas, tmp_path, photos):
    drawn = tmp_path / "drawn"
    code, _, err = nas("predict", network(tmp_path, "lraspp"), photos / "a.jpg", "--draw", drawn)
    assert code == 0, err
    assert Image.open(drawn / "0-a.png").size == (90 + LEGEND_PX, 60)


def test_the_score_chooses_the_boxes_that_are_shown(nas, tmp_path, photos):
    seed, photo = network(tmp_path, "ssdlite"), photos / "a.jpg"
    _, out, _ = nas("predict", seed, photo, "--json")
    scores = [row["score"] for row in json.loads(out)]
    for lowest in (0.0, sorted(scores)[len(scores) // 2] + 1e-6, 1.0):
        code, out, err = nas("predict", seed, photo, "--score", lowest)
        assert code == 0, err
        expected = sum(score >= lowest for score in scores)
        assert out.count("%") == expected
        assert expected or out.rstrip().endswith("  -")
    drawn = {}
    for lowest in (0, 1):
        folder = tmp_path / f"from-{lowest}"
        code, out, err = nas("predict", seed, photo, "--json", "--draw", folder, "--score", lowest)
        assert code == 0, err
        assert len(json.loads(out)) == len(scores)
        drawn[lowest] = np.asarray(Image.open(folder / "0-a.png"))
    assert np.array_equal(drawn[1], np.asarray(Image.open(photo).convert("RGB")))
    assert not np.array_equal(drawn[0], drawn[1])


@pytest.mark.parametrize(
    ("head", "options", "said"),
    [
        ("lraspp", ("--score", 0.5), "--score 0.5 chooses boxes, and this network is for the task"),
        ("ssdlite", ("--score", 0.5, "--json"), "--score 0.5 does not apply to --json, which has all"),
        ("ssdlite", ("--score", 1.5), "1.5"),
    ],
)  # fmt: skip
def test_scores_without_effect_are_refused(nas, tmp_path, photos, head, options, said):
    code, out, err = nas("predict", network(tmp_path, head), photos, *options)
    assert (code, out) == (2, "")
    assert said in " ".join(err.split())
