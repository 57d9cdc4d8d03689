"""docs/how-to/deploy.md: its lines, run as they stand, answer what `nas evaluate` counts."""

import json
import os
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from onnxruntime import InferenceSession
from PIL import Image

from nas.checkpoints.checkpoint import checkpoint_bytes
from nas.cli.main import main
from nas.tasks import task_of
from tests.deploying import CLASSES, trained_checkpoint, write_photos
from tests.nas.export.test_postprocess import seed as drawn_seed

PAGE = (Path(__file__).parents[1] / "docs/how-to/deploy.md").read_text(encoding="utf-8")
LINES, ENDING, ANCHORS, BOXES = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def nas(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)

    def command(*arguments):
        monkeypatch.setattr(sys, "argv", ["nas", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        assert ended.value.code == 0, err
        return json.loads(out)

    return command


@pytest.fixture
def photos(tmp_path):
    (tmp_path / "seed.pt").write_bytes(checkpoint_bytes(trained_checkpoint()))
    return write_photos(tmp_path / "photos", 40)


def answers(lines, photos):
    """Right and given class of each photo, by the page's lines."""
    names = {}
    exec(compile(lines, "docs/how-to/deploy.md", "exec"), names)
    paths = sorted(photos.glob("*/*"))
    given = [names["feed"]["classes"][names["logits"](path).argmax()] for path in paths]
    return [(path.parent.name, answer) for path, answer in zip(paths, given, strict=True)]


def counted(document):
    return {(one["true"], one["predicted"]): one["images"] for one in document["confusion"]}


def pairs(found):
    return {pair: found.count(pair) for pair in found}


def test_the_twelve_lines_answer_as_evaluate_does(nas, photos):
    code = LINES.split("\n\n", 1)[1]  # what follows the imports
    assert len(list(filter(None, code.splitlines()))) == 12
    nas("export", "seed.pt", "--json")
    found = answers(LINES, photos)
    for file in ("seed.pt", "seed.onnx"):
        document = nas("evaluate", file, "--data", photos, "--split", "all", "--json")
        assert counted(document) == pairs(found)
        assert document["accuracy"] == np.mean([right == given for right, given in found])
    assert document["accuracy"] > 0.7
    # Only a reader that turns the photos upright gets this far.
    careless = answers(LINES.replace("ImageOps.exif_transpose(image)", "image"), photos)
    assert careless != found


@pytest.mark.parametrize("crop", [1.0, 0.6])
def test_at_another_size_ground_and_crop(nas, photos, tmp_path, crop):
    seed = trained_checkpoint()
    dark = replace(seed, usage=replace(seed.usage, background="#102030", crop=crop))
    (tmp_path / "seed.pt").write_bytes(checkpoint_bytes(dark))
    nas("export", "seed.pt", "--resolution", 48, "--json")
    document = nas("evaluate", "seed.onnx", "--data", photos, "--split", "all", "--json")
    assert (document["px"], document["trained_px"]) == (48, 32)
    found = answers(LINES, photos)
    assert counted(document) == pairs(found)
    whole = answers(LINES.replace('feed.get("crop_fraction", 1)', "1"), photos)
    assert (whole == found) == (crop == 1)


def test_with_preprocessing_the_last_line_is_shorter(nas, photos):
    nas("export", "seed.pt", "--with-preprocessing", "-o", "seed.onnx", "--json")
    shorter = "\n".join([*LINES.rstrip().splitlines()[:-2], ENDING])
    document = nas("evaluate", "seed.onnx", "--data", photos, "--split", "all", "--json")
    assert counted(document) == pairs(answers(shorter, photos))


def test_predict_gives_the_lines_probabilities(nas, photos, tmp_path):
    seed = trained_checkpoint()
    cropped = replace(seed, usage=replace(seed.usage, crop=0.7))
    (tmp_path / "seed.pt").write_bytes(checkpoint_bytes(cropped))
    nas("export", "seed.pt", "--json")
    names = {}
    exec(compile(LINES, "docs/how-to/deploy.md", "exec"), names)
    for one in nas("predict", "seed.onnx", photos, "--top", 9, "--json"):
        powers = np.exp(names["logits"](one["path"]))
        shares = {CLASSES[g["index"]]: g["probability"] for g in one["predictions"]}
        assert {g["class"] for g in one["predictions"]} == set(CLASSES)
        assert [shares[name] for name in CLASSES] == pytest.approx(powers / powers.sum(), abs=1e-5)


def test_the_lines_for_a_detector_find_its_boxes(nas, tmp_path):
    seed = drawn_seed("ssdlite")
    (tmp_path / "cards-v2.pt").write_bytes(checkpoint_bytes(seed))
    nas("export", "cards-v2.pt", "--json")
    names = {"np": np}
    exec(compile(ANCHORS + BOXES, "docs/how-to/deploy.md", "exec"), names)
    side = seed.spec.resolution
    image = np.random.default_rng(0).normal(size=(1, 3, side, side)).astype(np.float32)
    scores, offsets = InferenceSession("cards-v2.onnx").run(None, {"image": image})
    wanted = task_of("detect").predictions(
        (torch.from_numpy(scores), torch.from_numpy(offsets)), spec=seed.spec
    )[0]
    least = float(wanted.scores[40])
    rows = names["boxes"](scores[0], offsets[0], np.load("anchors.npy"), least=least)
    assert len(rows) == 40
    classes, chances, corners = zip(
        *((kind, score, box) for kind, score, *box in rows), strict=True
    )
    assert list(classes) == wanted.classes[:40].tolist()
    assert chances == pytest.approx(wanted.scores[:40].tolist(), abs=1e-6)
    np.testing.assert_allclose(corners, wanted.corners[:40].numpy(), atol=1e-6)


@pytest.mark.skipif("MOBILE_NAS_PHOTOS" not in os.environ, reason="MOBILE_NAS_PHOTOS has photos")
def test_photos_of_phones_and_imagenet_s_classes(nas, tmp_path):
    from nas.checkpoints.importing.pretrained import import_checkpoint
    from search_spaces import REFERENCES

    root = Path(os.environ["MOBILE_NAS_PHOTOS"])
    spec = REFERENCES["mobilenet_v2"](resolution=96)
    seed = import_checkpoint(spec, root / "weights/mobilenet_v2-b0353104.pth")
    (tmp_path / "seed.pt").write_bytes(checkpoint_bytes(seed))
    nas("export", "seed.pt", "--json")
    names = {}
    exec(compile(LINES, "docs/how-to/deploy.md", "exec"), names)
    chosen = sorted(root.glob("clothes/test/*"))[:20] + sorted(root.glob("grocery/test/*/*"))[::125]
    photos = [path for path in chosen if path.suffix in (".jpg", ".png")]
    for one in nas("predict", "seed.onnx", *photos, "--top", 1, "--json"):
        assert one["predictions"][0]["index"] == names["logits"](one["path"]).argmax()


def test_photos_are_of_the_kinds_that_need_care(photos):
    kinds = {path.stem.split("-")[1] for path in photos.glob("*/*")}
    assert kinds == {"jpg", "exif", "alpha", "palette", "grey", "large"}
    turned = next(photos.glob("*/*-exif.jpg"))
    assert Image.open(turned).getexif()[274] in (3, 4, 6, 8)
