"""A name or an option that there is not: what was meant."""

import tomllib
from pathlib import Path

import pytest

from search_spaces.extras import INSTALL_LITERT, LITERT


def last_line(err):
    assert "Traceback" not in err
    return " ".join(err.strip().splitlines()[-1].split())


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (("show", "mobilenetv3_small"), "did you mean mobilenet_v3_small?"),
        (("show", "MobileNet-V2"), "did you mean mobilenet_v2?"),
        (("measure", "mnasnet-a1@0.5"), "did you mean mnasnet_a1?"),
        (("train", "x", "--lr", "0.1"), "--lr: did you mean --learning-rate?"),
        (("train", "x", "--bs", "8"), "did you mean --batch-size?"),
        (("train", "x", "--gpu"), "did you mean --device cuda?"),
        (("export", "x", "--out", "y"), "did you mean --output?"),
        (("export", "x", "--onput", "y"), "did you mean --output?"),
        (("measure", "x", "--imgsz", "224"), "did you mean --resolution?"),
        (("benchmark", "x"), "did you mean measure?"),
        (("exprot", "x"), "did you mean export?"),
        (("toast",), "choose one of search, show"),
        (("evaluate", "x", "--data", "y", "--split", "validation"), "did you mean val?"),
        (("evaluate", "x", "--data", "y", "--split", "tets"), "did you mean test?"),
        (("measure", "mobilenet_v2", "--device", "Pixel 1"), "did you mean pixel1?"),
        (("measure", "mobilenet_v2", "--device", "android"), "did you mean adb?"),
        (("measure", "mobilenet_v2", "--device", "tflite"), "did you mean litert?"),
        (("measure", "mobilenet_v2", "--device", "pi@board"), "did you mean ssh:pi@board?"),
        (("measure", "mobilenet_v2", "--device", "cpu:0"), "give options as cpu:threads=1"),
        (("measure", "mobilenet_v2", "--device", "mps"), "--device cpu:provider=coreml"),
    ],
)
def test_what_was_meant(nas, typed, meant):
    code, out, err = nas(*typed)
    assert (code, out) == (2, "")
    assert meant in last_line(err)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (("--latency", "3"), "--latency: did you mean --target-ms?"),
        (("--latncy-ms", "3"), "did you mean --target-ms?"),
        (("--target_ms", "3"), "did you mean --target-ms?"),
        (("--gpu", "1"), "did you mean --gpus-per-trial?"),
        (("--lr", "3"), "set recipe.learning_rate in the file given by --config"),
        (("--wd", "3"), "set recipe.weight_decay"),
        (("--bs", "3"), "set recipe.batch_size"),
        (("--preset", "fast"), "did you mean quick?"),
        (("--preset", "standart"), "did you mean standard?"),
        (("--controller", "random"), "did you mean uniform?"),
        (("--controller", "screend"), "did you mean screened?"),
        (("--space", "mnas-net"), "did you mean mnasnet?"),
        (("--device", "cuda"), "not where networks train: to train on a GPU give"),
        (("--device", "gpu:0"), "--gpus-per-trial 1"),
        (("--device", "cuda=8", "--device", "pixel1=60"), "--gpus-per-trial 1"),
    ],
)  # fmt: skip
def test_what_was_meant_of_a_search(nas_search, typed, meant):
    code, out, err = nas_search(*typed, "--dry-run")
    assert (code, out) == (2, "")
    assert meant in last_line(err)


def test_the_extra_is_what_pyproject_says(nas, monkeypatch):
    project = tomllib.loads(
        (Path(__file__).parents[3] / "pyproject.toml").read_text(encoding="utf-8")
    )
    assert project["project"]["optional-dependencies"]["litert"] == [LITERT]
    monkeypatch.setitem(__import__("sys").modules, "ai_edge_litert.interpreter", None)
    code, _, err = nas("measure", "mobilenet_v2", "--device", "litert")
    assert code == 2
    assert INSTALL_LITERT in last_line(err)
    docs = Path(__file__).parents[3] / "docs"
    pages = [page.read_text(encoding="utf-8") for page in docs.rglob("*.md")]
    assert sum(INSTALL_LITERT in page for page in pages) == 4
    assert not any("mobile-nas[litert]" in page or ".[litert]" in page for page in pages)
