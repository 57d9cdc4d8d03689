"""`nas predict` and `nas evaluate` of any file: what they print, and what they say of bad input."""

import json
import os
import sys

import numpy as np
import onnx
import pytest
from PIL import Image

from nas.checkpoints.checkpoint import Checkpoint, checkpoint_bytes
from nas.checkpoints.usage import Usage
from nas.cli.commands.evaluating.detail_tables import drawn
from nas.engine.folder.publishing import publish
from nas.engine.folder.run_folder import RunFolder
from nas.export.onnx_export import checked_onnx
from nas.export.onnx_file import describe_onnx, stamp_onnx
from nas.tasks.confusion import Confusion
from nas.tasks.confusion_tables import confusion_tables
from search_spaces.network import build
from tests.deploying import CLASSES, PX, save, shaded, small_spec, trained_checkpoint, write_photos


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A trained seed.pt, the same as net.onnx, and photos."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "seed.pt").write_bytes(checkpoint_bytes(trained_checkpoint()))
    model = checked_onnx(trained_checkpoint().network(), dynamic_batch=True)
    stamped = stamp_onnx(model, describe_onnx(model, trained_checkpoint().usage))
    (folder / "net.onnx").write_bytes(stamped)
    write_photos(folder / "photos")
    return folder


@pytest.fixture
def folder(made, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "seed.pt").write_bytes((made / "seed.pt").read_bytes())
    (tmp_path / "photos").symlink_to(made / "photos")
    return tmp_path


@pytest.fixture
def onnx_file(made, folder):
    (folder / "net.onnx").write_bytes((made / "net.onnx").read_bytes())
    return folder / "net.onnx"


def test_checkpoints_runs_and_files_predict_alike(nas, folder, onnx_file):
    run = folder / "one"
    run.mkdir()
    (run / "seed.pt").write_bytes((folder / "seed.pt").read_bytes())
    assert nas("export", "seed.pt", "--with-preprocessing", "-o", "pixels.onnx")[0] == 0
    found = []
    for file in ("seed.pt", "one", "net.onnx", "pixels.onnx"):
        code, out, err = nas("predict", file, "photos", "--top", 2, "--json")
        assert (code, "Traceback" in err) == (0, False)
        found.append(json.loads(out))
    expected = sorted(str(path.relative_to(folder)) for path in folder.glob("photos/*/*"))
    assert sorted(one["path"] for one in found[0]) == expected
    for one, *others in zip(*found, strict=True):
        shares = [guess["probability"] for guess in one["predictions"]]
        assert len(shares) == 2
        assert shares == sorted(shares, reverse=True)
        for other in others:
            assert other["path"] == one["path"]
            names = [[g["class"] for g in each["predictions"]] for each in (one, other)]
            assert names[0] == names[1]
            again = [guess["probability"] for guess in other["predictions"]]
            assert again == pytest.approx(shares, abs=1e-4)
    right = [one["predictions"][0]["class"] == one["path"].split("/")[-2] for one in found[0]]
    assert np.mean(right) > 0.7


def test_predict_is_evaluate_without_labels(nas, folder, onnx_file):
    document = json.loads(
        nas("evaluate", onnx_file, "--data", "photos", "--split", "all", "--json")[1]
    )
    predicted = json.loads(nas("predict", onnx_file, "photos", "--json")[1])
    pairs = [(one["path"].split("/")[-2], one["predictions"][0]["class"]) for one in predicted]
    counted = {(one["true"], one["predicted"]): one["images"] for one in document["confusion"]}
    assert counted == {pair: pairs.count(pair) for pair in pairs}


def test_a_line_an_image(nas, folder, onnx_file):
    code, out, err = nas("predict", onnx_file, "photos", "--top", 1)
    lines = out.splitlines()
    assert code == 0
    assert len(lines) == 1 + 24
    assert "most likely" in lines[0]
    assert all("%" in line for line in lines[1:])
    assert "top, 最上" in out
    assert "sizes differ" not in err


def test_a_file_moved_away_from_everything_still_predicts(nas, folder, onnx_file, tmp_path):
    away = tmp_path / "elsewhere"
    away.mkdir()
    onnx_file.rename(away / "model")
    code, out, _ = nas("predict", away / "model", next(folder.glob("photos/*/*")), "--json")
    assert code == 0
    assert len(json.loads(out)[0]["predictions"]) == 3


def test_unreadable_images_are_named_and_the_others_predicted(nas, folder, onnx_file):
    mixed = folder / "mixed"
    mixed.mkdir()
    good = next(folder.glob("photos/*/*.jpg")).read_bytes()
    (mixed / "b.jpg").write_bytes(good)
    (mixed / "a.jpg").write_bytes(good[: len(good) // 3])
    (mixed / "c.png").write_bytes(b"")
    (mixed / "d.jpg").symlink_to(mixed / "gone.jpg")
    (mixed / "notes.txt").write_text("no image")
    (mixed / ".hidden.jpg").write_bytes(b"")
    (mixed / "loop").symlink_to(mixed)
    os.mkfifo(mixed / "pipe.jpg")
    code, out, err = nas("predict", onnx_file, mixed, "absent.jpg", "--json")
    assert code == 1
    found = {one["path"].split("/")[-1]: one for one in json.loads(out)}
    assert sorted(found) == ["a.jpg", "absent.jpg", "b.jpg", "c.png", "d.jpg"]
    assert [name for name, one in found.items() if "error" not in one] == ["b.jpg"]
    for name in ("a.jpg", "c.png", "d.jpg", "absent.jpg"):
        assert sum(name in line for line in err.splitlines()) == 1
    assert "4 of 5 images could not be read" in err
    assert "skipped 1 file without an image suffix" in err
    assert "Traceback" not in err
    code, out, _ = nas("predict", onnx_file, mixed)
    assert code == 1
    assert out.count("%") == 3  # of one image


@pytest.mark.parametrize("kind", ["deep", "bilevel", "cmyk", "frames", "float"])
def test_images_of_any_mode(nas, folder, onnx_file, kind):
    image = Image.fromarray(shaded(0, np.random.default_rng(0), 50, 61))
    path = folder / {"cmyk": "x.jpg", "frames": "x.gif", "float": "x.tiff"}.get(kind, "x.png")
    if kind == "deep":
        grey = np.asarray(image.convert("L")).astype(np.uint16) << 8
        Image.fromarray(grey).save(path)
    elif kind == "frames":
        image.save(path, save_all=True, append_images=[image.rotate(90)])
    else:
        image.convert({"bilevel": "1", "cmyk": "CMYK", "float": "F"}[kind]).save(path)
    code, out, err = nas("predict", onnx_file, path, "--json")
    assert code == 0, err
    assert json.loads(out)[0]["predictions"]


def test_a_photo_that_exif_turns_is_turned(nas, folder, onnx_file):
    image = Image.fromarray(shaded(2, np.random.default_rng(3), 90, 90))
    image.save(folder / "upright.jpg", quality=95)
    for number in range(4):
        save(image, folder / f"turned{number}", "exif", 2 * number)
    turned = [f"turned{number}.jpg" for number in range(4)]
    found = json.loads(nas("predict", onnx_file, "upright.jpg", *turned, "--json")[1])
    assert [one["predictions"][0]["class"] for one in found] == [CLASSES[2]] * 5


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["absent.onnx", "photos"], "absent.onnx: No such file"),
        (["seed.pt", "absent"], "absent does not exist"),
        (["seed.pt", "empty"], "empty has no images below it"),
        (["mobilenet_v2", "photos"], "mobilenet_v2 has no weights: train it first"),
        (["photos", "photos"], "photos is not a run's folder"),
        (["seed.pt"], "IMAGE|DIR"),
        (["seed.pt", "photos", "--top", "0"], "--top"),
        (["cut.onnx", "photos"], "damaged, or not an ONNX file"),
        (["cut.pt", "photos"], "damaged"),
        (["text.tflite", "photos"], "damaged, or not a LiteRT file"),
        (["plain.onnx", "photos"], "plain.onnx does not say how to feed it: put plain.json"),
        (["newer.onnx", "photos"], "upgrade mobile-nas"),
    ],
)
def test_bad_input_is_one_line(nas, folder, onnx_file, arguments, reason):
    (folder / "empty").mkdir()
    content = onnx_file.read_bytes()
    (folder / "cut.onnx").write_bytes(content[: len(content) // 2])
    (folder / "cut.pt").write_bytes((folder / "seed.pt").read_bytes()[:-100])
    (folder / "text.tflite").write_text("no model")
    plain = onnx.load_from_string(content)
    del plain.metadata_props[:]
    onnx.save(plain, folder / "plain.onnx")
    onnx.helper.set_model_props(plain, {"mobile_nas": '{"schema": 2}'})
    onnx.save(plain, folder / "newer.onnx")
    code, out, err = nas("predict", *arguments)
    assert (code, out) == (2, "")
    assert reason in err
    assert len(err.strip().splitlines()) == 1


def test_a_thousand_classes(nas, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    spec = small_spec(1000)
    names = tuple(f"class, {number}\n猫" for number in range(1000))
    usage = Usage(names, PX, (0.5, 0.5, 0.5), (0.2, 0.2, 0.2))
    (tmp_path / "seed.pt").write_bytes(
        checkpoint_bytes(Checkpoint(spec, build(spec).state_dict(), usage))
    )
    Image.fromarray(shaded(0, np.random.default_rng(0))).save("x.png")
    assert nas("export", "seed.pt")[0] == 0
    for file in ("seed.pt", "seed.onnx"):
        (one,) = json.loads(nas("predict", file, "x.png", "--top", 5000, "--json")[1])
        assert len(one["predictions"]) == 1000
        assert {guess["class"] for guess in one["predictions"]} == set(names)
        assert sum(guess["probability"] for guess in one["predictions"]) == pytest.approx(1)
        code, out, _ = nas("predict", file, "x.png")
        assert (code, len(out.splitlines())) == (0, 2)


def test_evaluate_has_the_headline_first_and_every_class(nas, folder, onnx_file):
    code, out, err = nas("evaluate", onnx_file, "--data", "photos", "--split", "all")
    assert (code, err) == (0, "")
    first, *rest = out.splitlines()
    assert first.endswith("of 24 images at 32 px")
    for name in ("1 bottom", '2 middle, "half"', "3 top, 最上"):
        assert sum(line.strip().startswith(name) for line in rest) == 1


def test_evaluate_and_export_say_that_sizes_differ(nas, folder):
    code, out, err = nas("export", "seed.pt", "--resolution", 48, "--json")
    assert code == 0
    assert "trained at 32 px, exported at 48 px: accuracy there is unknown" in err
    assert json.loads(out)["px"] == 48
    assert json.loads((folder / "seed.json").read_text())["size_px"] == 48
    code, out, err = nas("evaluate", "seed.onnx", "--data", "photos", "--json")
    assert code == 0
    assert "trained at 32 px, evaluated at 48 px" in err
    code, _, err = nas("evaluate", "seed.onnx", "--data", "photos", "--resolution", 32)
    assert code == 2
    assert "takes images of 48 px, --resolution is 32" in err
    code, out, err = nas("predict", "seed.onnx", "photos", "--json")
    assert code == 0
    assert "trained at 32 px, used at 48 px" in err


def test_evaluate_uses_the_deployed_size(nas, folder):
    seed = trained_checkpoint()
    deployed = Checkpoint(small_spec(px=48), seed.weights, seed.usage)
    (folder / "large.pt").write_bytes(checkpoint_bytes(deployed))
    code, out, err = nas("evaluate", "large.pt", "--data", "photos", "--json")
    assert code == 0
    document = json.loads(out)
    assert (document["px"], document["trained_px"]) == (48, 32)
    assert "trained at 32 px, evaluated at 48 px" in err
    code, out, err = nas("evaluate", "large.pt", "--data", "photos", "--resolution", 32)
    assert code == 0
    assert out.splitlines()[0].endswith("at 32 px")
    assert "sizes differ" not in err


def test_json_has_every_class_and_every_confusion(nas, folder, onnx_file):
    code, out, _ = nas("evaluate", onnx_file, "--data", "photos", "--split", "all", "--json")
    document = json.loads(out)
    assert code == 0
    assert [one["class"] for one in document["classes"]] == list(CLASSES)
    assert sum(one["images"] for one in document["classes"]) == 24
    assert sum(one["images"] for one in document["confusion"]) == document["images"] == 24
    right = sum(one["right"] for one in document["classes"])
    assert document["accuracy"] == right / 24
    for one in document["classes"]:
        assert one["accuracy"] == one["right"] / one["images"]


def test_many_classes_show_the_weakest_and_the_most_confused(capsys):
    from nas.display.output import results

    names = tuple(f"c{number}" for number in range(1000))
    counts = {(n, n): 9 for n in range(30)} | {(3, 4): 5, (4, 3): 7, (29, 999): 1}
    for table in confusion_tables(Confusion(names, counts)):
        results().print(drawn(table))
    out = capsys.readouterr().out
    assert "least accurate of 30" in " ".join(out.split())
    weakest = out[: out.index("most confused")].split()
    assert weakest.index("c4") < weakest.index("c3") < weakest.index("c29")
    confused = [line.split() for line in out[out.index("most confused") :].splitlines()]
    assert [line for line in confused if line and line[0] in ("c4", "c3", "c29")] == [
        ["c4", "c3", "7"],
        ["c3", "c4", "5"],
        ["c29", "c999", "1"],
    ]
    assert len(out.splitlines()) < 40


def test_torchvision_weights_have_a_side_car(nas, tmp_path, monkeypatch):
    from search_spaces import REFERENCES

    monkeypatch.chdir(tmp_path)
    spec = REFERENCES["mobilenet_v3_small"](width=0.35, resolution=PX, classes=3)
    usage = Usage(CLASSES, PX, (0.5, 0.5, 0.5), (0.2, 0.2, 0.2))
    (tmp_path / "seed.pt").write_bytes(
        checkpoint_bytes(Checkpoint(spec, build(spec).state_dict(), usage))
    )
    assert nas("export", "seed.pt", "--torchvision")[0] == 0
    beside = json.loads((tmp_path / "seed.json").read_text())
    assert (beside["file"], beside["classes"]) == ("seed.pth", list(CLASSES))


def test_random_weights_have_no_description(nas, folder):
    assert nas("export", "mobilenet_v3_small@0.35", "--resolution", 32)[0] == 0
    assert not (folder / "mobilenet_v3_small-0.35-random.json").exists()
    code, _, err = nas("export", "mobilenet_v3_small@0.35", "--with-preprocessing")
    assert code == 2
    assert "--with-preprocessing needs trained weights" in err


def test_where_there_is_no_litert_one_line_says_how_to_get_it(nas, folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    (folder / "net.tflite").write_bytes(b"\x1c\0\0\0TFL3" + bytes(64))
    for command in (
        ("predict", "net.tflite", "photos"),
        ("evaluate", "net.tflite", "--data", "photos"),
    ):
        code, _, err = nas(*command)
        assert code == 2
        assert "pip install 'litert-torch>=0.10,<0.11'" in err
        assert len(err.strip().splitlines()) == 1


@pytest.mark.parametrize("resolution", [0, -5, 7])
@pytest.mark.parametrize("file", ["seed.pt", "net.onnx"])
def test_sizes_too_small_are_refused(nas, onnx_file, file, resolution):
    code, out, err = nas("evaluate", file, "--data", "photos", "--resolution", resolution)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert f"resolution must be at least 8, got {resolution}: " in err


@pytest.mark.parametrize("resolution", [0, -5, 7])
def test_training_refuses_them_too(nas, folder, resolution):
    code, out, err = nas(
        "train", "seed.pt", "--data", "photos", "--resolution", resolution, "-o", "on.pt"
    )
    assert (code, out, "Traceback" in err) == (2, "", False)
    assert f"got {resolution}" in err
    assert not (folder / "on.pt").exists()


def test_the_run_of_a_published_file_is_said(nas, folder):
    run = folder / "runs" / "one"
    run.mkdir(parents=True)
    (run / "seed.pt").write_bytes((folder / "seed.pt").read_bytes())
    publish(RunFolder(run), "seed.pt")
    for file in ("runs/seed.pt", "runs"):
        code, _, err = nas("predict", file, "photos", "--json")
        assert code == 0
        assert err.count("runs/seed.pt: from run one") == 1
    assert "from run" not in nas("predict", "runs/one", "photos", "--json")[2]


def test_suggested_commands_can_be_pasted(nas, folder):
    (folder / "my net.yaml").write_text("")
    assert "with nas train 'my net.yaml' --data DIR" in nas("predict", "my net.yaml", "photos")[2]
