"""The examples, run for real: tiny searches to the end."""

import importlib.util
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from controllers import make_controller
from latency import Latency, open_device
from nas.checkpoints.checkpoint import checkpoint_bytes, load_checkpoint
from nas.tasks.classification import Classification
from search_spaces import InputError
from search_spaces.references import mobilenet_v3_small
from search_spaces.spec import load
from tests.deploying import write_photos
from tests.nas.small_parent import small_parent

EXAMPLES = Path(__file__).parents[1] / "examples"

SMALL_SPACE = """\
schema: 1
name: small
bn_eps: 0.001
stem: {out: 8, kernel: 3, stride: 2, act: relu}
blocks:
- {stride: 2, op: [sepconv, mbconv3], kernel: [3, 5], se: 0, skip: identity, out: [8, 12], depth: 1,
   act: relu, se_rule: mnasnet}
- {stride: 2, op: mbconv3, kernel: 3, se: [0, 0.25], skip: identity, out: [12, 16], depth: [1, 2],
   act: relu, se_rule: mnasnet}
head: {conv: 32, hidden: 0, act: relu, dropout: 0.2}
"""


@pytest.fixture
def small_space(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(SMALL_SPACE)
    return path


@pytest.fixture
def images(tmp_path):
    """Two classes of 40 noisy pictures, one darker than the other."""
    rng = np.random.default_rng(0)
    for label, light in (("dark", 60), ("light", 190)):
        folder = tmp_path / "photos" / label
        folder.mkdir(parents=True)
        for index in range(40):
            pixels = np.clip(rng.normal(light, 40, (32, 32, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"{index}.png")
    return tmp_path / "photos"


def example(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def check_run(folder, printed, *, trials, classes):
    assert "winner: trial " in printed
    assert str(folder) in printed
    spec = load(folder / "best.yaml")
    assert spec.head.classes == classes
    seed = load_checkpoint(folder / "seed.pt")
    assert seed.spec == spec
    assert len((folder / "trials.jsonl").read_text().splitlines()) == trials


class Drifting:
    """A device that is slower each time, and whose readings are never quiet enough to be kept."""

    def __init__(self):
        self.source, self.asked = open_device("madds:1"), 0
        self.device = replace(self.source.device, name="drifting", fingerprint="drifting-1")

    def latency(self, spec):
        self.asked += 1
        exact = Latency.exactly(self.source.latency(spec).median_ms, self.device)
        return replace(exact, median_ms=exact.median_ms * (1 + self.asked / 1000), stable=False)


@pytest.mark.slow
def test_own_images_goes_on_where_latencies_differ_each_time(
    tmp_path, images, small_space, monkeypatch
):
    own_images = example("own_images")
    drifting = Drifting()
    monkeypatch.setattr(own_images, "open_device", lambda _name: drifting)
    options = ["--space", small_space, "--trials", 3, "--finalists", 1, "--steps", 2]
    argv = [
        str(images),
        *map(str, options),
        "--resolution",
        "32",
        "--folder",
        str(tmp_path / "run"),
    ]
    own_images.main(argv)
    log = (tmp_path / "run" / "trials.jsonl").read_bytes()
    own_images.main(argv)
    assert (tmp_path / "run" / "trials.jsonl").read_bytes() == log


@pytest.mark.slow
def test_own_images(tmp_path, images, small_space, capsys):
    folder = tmp_path / "runs" / "photos"
    own_images = example("own_images")
    options = ["--space", small_space, "--trials", 3, "--finalists", 1, "--steps", 5]
    options += ["--device", "madds:1", "--resolution", 32, "--folder", folder]
    argv = [str(images), *map(str, options)]
    own_images.main(argv)
    first = capsys.readouterr().out
    assert "photos: 48 images to train on" in first
    assert "accuracy on the test images" in first
    check_run(folder, first, trials=3, classes=2)
    own_images.main(argv)  # a finished run is replayed from its log
    assert capsys.readouterr().out == first


@pytest.mark.slow
def test_sub_networks(tmp_path, images, capsys, monkeypatch):
    monkeypatch.setattr(Classification, "usual", Classification.usual._replace(trial_steps=2))
    (tmp_path / "parent.pt").write_bytes(checkpoint_bytes(small_parent()))
    folder = tmp_path / "runs" / "photos"
    argv = [str(images), "--parent", str(tmp_path / "parent.pt"), "--folder", str(folder)]
    argv += ["--resolutions", "32", "64", "--device", "madds:1", "--trials", "3"]
    sub_networks = example("sub_networks")
    sub_networks.main(argv)
    first = capsys.readouterr().out
    assert "test images" in first
    assert str(folder) in first
    assert load_checkpoint(folder / "seed.pt").usage.classes == ("dark", "light")
    assert len(list((tmp_path / "runs" / "parents").iterdir())) == 2
    sub_networks.main(argv)  # a finished run is replayed from its log
    assert capsys.readouterr().out == first


@pytest.mark.slow
@pytest.mark.long
def test_own_images_measures_on_the_cpu_by_default(tmp_path, images, small_space, capsys):
    folder = tmp_path / "runs" / "photos"
    options = ["--space", small_space, "--trials", 1, "--finalists", 1, "--steps", 2]
    options += ["--resolution", 32, "--folder", folder]
    example("own_images").main([str(images), *map(str, options)])
    check_run(folder, capsys.readouterr().out, trials=1, classes=2)


@pytest.mark.slow
def test_from_photos_to_a_file_as_accurate_as_told(tmp_path, small_space, capsys, monkeypatch):
    """Photos that EXIF turns, transparent ones, odd sizes; trials at half the deployed size."""
    photos = tmp_path / "photos"
    write_photos(photos / "train", 60)
    write_photos(photos / "test", 40)
    settings = tmp_path / "settings.yaml"
    settings.write_text("recipe: {steps: 10, batch_size: 16}\ncontroller: uniform\n")
    options = ["--space", small_space, "--config", settings, "--device", "madds:1"]
    options += ["--trials", 2, "--batch-size", 2, "--target-ms", 9, "--workers", 0]
    options += ["--resolution", 32, "--proxy-resolution", 16, "--runs", tmp_path / "runs"]
    ways = ["--epochs", 5, "--batch-size", 16]
    monkeypatch.chdir(tmp_path)
    example("photos_to_file").main([str(photos), *map(str, [*ways, *options])])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert all(" of 40 test photos right, " in line for line in lines)


@pytest.mark.slow
def test_own_latency_source(tmp_path, small_space, capsys):
    folder = tmp_path / "runs" / "latency"
    options = ["--space", small_space, "--trials", 4, "--steps", 5, "--folder", folder]
    example("own_latency_source").main([*map(str, options)])
    check_run(folder, capsys.readouterr().out, trials=4, classes=10)
    assert "memory at 4 GB/s" in (folder / "run.json").read_text()


@pytest.mark.slow
def test_own_controller(tmp_path, small_space, capsys):
    folder = tmp_path / "runs" / "controller"
    options = ["--space", small_space, "--trials", 6, "--steps", 5, "--folder", folder]
    example("own_controller").main([*map(str, options)])
    check_run(folder, capsys.readouterr().out, trials=6, classes=10)


@pytest.fixture
def plug_ins(tmp_path, monkeypatch):
    """What pip leaves of a package with the examples' entry points."""
    installed = tmp_path / "site"
    metadata = installed / "my_plug_ins-0.1.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: my-plug-ins\nVersion: 0.1\n")
    (metadata / "entry_points.txt").write_text(
        "[mobile_nas.latency]\ntraffic = own_latency_source:traffic\n"
        "[mobile_nas.controllers]\nclimb = own_controller:HillClimbing\n"
    )
    monkeypatch.syspath_prepend(installed)
    monkeypatch.syspath_prepend(EXAMPLES)


@pytest.mark.usefixtures("plug_ins")
def test_examples_as_plug_ins():
    source = open_device("traffic:4")
    assert source.device.name == "memory at 4 GB/s"
    assert source.latency(mobilenet_v3_small()).median_ms > 0
    with pytest.raises(InputError, match="traffic needs GB/s, got 'fast'"):
        open_device("traffic:fast")
    climb = make_controller("climb", (2, 3), seed=0, options={"restart": 0.5})
    assert len(climb.ask(4)) == 4
    with pytest.raises(InputError, match="unknown option tempo"):
        make_controller("climb", (2, 3), seed=0, options={"tempo": 1})
