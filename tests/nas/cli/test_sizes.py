"""One network, one size: what is told, what is measured and what is shipped belong together."""

import json

import onnx
import pytest

from nas.checkpoints.checkpoint import load_checkpoint
from search_spaces.spec import load

QUICK = (
    "--trials", 2, "--batch-size", 2, "--device", "madds:1", "--target-ms", 5, "--workers", 0,
)  # fmt: skip


@pytest.fixture
def settings(tmp_path):
    path = tmp_path / "settings.yaml"
    path.write_text(
        "recipe: {steps: 12, batch_size: 16}\n"
        "finals: {count: 1, epochs_factor: 2, repeats: 1, deployed_part: 0.5}\n"
        "controller: uniform\nlatency_warmup: null\n"
    )
    return path


@pytest.fixture
def search(nas_search, photos, settings, space):
    def run(*more):
        given = ("--data", photos, "--space", space, "--config", settings, "--run-name", "one")
        code, out, err = nas_search(*given, *QUICK, "--json", *more)
        assert code == 0, err
        return json.loads(out), err

    return run


def side_of(path):
    (image,) = onnx.load(path).graph.input
    *_, height, width = (axis.dim_value for axis in image.type.tensor_type.shape.dim)
    assert height == width
    return width


def test_the_file_that_is_shipped_has_the_accuracy_and_the_size_that_are_told(
    search, nas, photos, tmp_path
):
    result, said = search("--proxy-resolution", 16, "--resolution", 32)
    run = tmp_path / "runs" / "one"
    seed = load_checkpoint(run / "seed.pt")
    assert result["px"] == side_of(run / "best.onnx") == seed.spec.resolution == 32
    assert seed.usage.trained_px == load(run / "best.yaml").resolution == 32
    assert result["proxy_px"] == 16
    assert result["onnx"] == {"accuracy": result["accuracy"], "images": 20}
    assert f"best.onnx, 32 px: {100 * result['accuracy']:.1f}% of the 20 held-out images" in said
    for split, told in (("val", "accuracy"), ("test", "test_accuracy")):
        code, out, _ = nas(
            "evaluate", run / "seed.pt", "--data", photos, "--split", split, "--json"
        )
        assert code == 0
        assert json.loads(out)["accuracy"] == pytest.approx(result[told])
    # Trials are of the proxy size, and say so.
    for name, px in (("trials", 16), ("finals", 32)):
        first = json.loads((run / f"{name}.jsonl").read_text().splitlines()[0])
        assert first["px"] == px
    assert "(16 px) at " in said
    assert " trial 16 px 16 px 32 px 32 px " in " ".join(said.split())
    assert "32 px on the device, 16 px in trials" in said
    header, row, *_ = (run / "pareto.csv").read_text().splitlines()
    cells = dict(zip(header.split(","), row.split(","), strict=True))
    assert (cells["accuracy_px"], cells["latency_px"]) == ("16", "32")
    # Training on keeps the size, unless it is told another one.
    trained = ("train", run / "seed.pt", "--data", photos, "--epochs", 0.3, "--batch-size", 16)
    code, out, err = nas(*trained, "--json", "-o", tmp_path / "on.pt")
    assert code == 0, err
    assert json.loads(out)["px"] == load_checkpoint(tmp_path / "on.pt").spec.resolution == 32
    assert "its latency changes" not in err
    code, _, err = nas(*trained, "--resolution", 16, "-o", tmp_path / "small.pt")
    assert code == 0, err
    small = load_checkpoint(tmp_path / "small.pt")
    assert small.spec.resolution == small.usage.trained_px == 16
    assert "deployed size changes from 32 to 16 px" in err


def test_a_network_is_deployed_at_the_images_own_size_by_default(search, tmp_path):
    result, said = search("--dry-run")
    assert "32 px, in training and on the device" in said
    assert " ms at 32 px" in said  # what the space spans
    assert "224 px" not in said
    assert result["target_ms"] == 5
