import sys

import numpy as np
import pytest
from PIL import Image

from nas.checkpoints.checkpoint import checkpoint_bytes
from nas.cli.main import main, netadapt_main, search_main
from tests.nas.adapting.test_adapt import SEED

SMALL_SPACE = """\
schema: 1
name: small
bn_eps: 0.001
stem: {out: 8, kernel: 3, stride: 2, act: relu}
blocks:
- {stride: 2, op: [sepconv, mbconv3], kernel: [3, 5], se: 0, se_rule: mnasnet, skip: identity,
   out: [8, 16], depth: 1, act: relu}
head: {conv: 32, hidden: 0, act: relu, dropout: 0.0}
"""


SEARCHED_SPACE = """\
schema: 1
name: searched
bn_eps: 0.001
stem: {out: 8, kernel: 3, stride: 2, act: relu}
blocks:
- {stride: 2, op: [sepconv, mbconv3], kernel: [3, 5], se: 0, se_rule: mnasnet, skip: identity,
   out: [8, 16], depth: 1, act: relu}
- {stride: 2, op: [mbconv3, mbconv6], kernel: [3, 5], se: [0, 0.25], se_rule: mnasnet, skip: identity,
   out: [16, 24], depth: [1, 2], act: relu}
head: {conv: 64, hidden: 0, act: relu, dropout: 0.0}
"""


@pytest.fixture(autouse=True)
def _no_timing(monkeypatch):
    """A plan's cost is that of a machine of known speed: timing it takes a second a search."""
    for module in (
        "adapting.forecast",
        "searching.planning.forecast",
        "searching.planning.from_parent",
    ):
        monkeypatch.setattr(f"nas.{module}.training_speed", lambda *_, **__: 500.0)


@pytest.fixture(scope="session")
def searched_space(tmp_path_factory):
    """A space of 256 small networks, in a file."""
    path = tmp_path_factory.mktemp("space") / "searched.yaml"
    path.write_text(SEARCHED_SPACE)
    return path


def run(monkeypatch, capsys, *arguments, command=main):
    monkeypatch.setattr(sys, "argv", ["nas", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        command()
    out, err = capsys.readouterr()
    return ended.value.code, out, err


@pytest.fixture
def nas(monkeypatch, capsys):
    return lambda *arguments: run(monkeypatch, capsys, *arguments)


@pytest.fixture
def nas_search(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: run(monkeypatch, capsys, *arguments, command=search_main)


@pytest.fixture
def netadapt(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: run(monkeypatch, capsys, *arguments, command=netadapt_main)


@pytest.fixture
def seed(tmp_path):
    """What `netadapt` begins with."""
    path = tmp_path / "seed.pt"
    path.write_bytes(checkpoint_bytes(SEED))
    return path


@pytest.fixture
def photos(tmp_path):
    rng = np.random.default_rng(0)
    for label, base in (("dark", 60), ("light", 190)):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for number in range(50):
            pixels = rng.normal(base, 40, size=(32, 32, 3)).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / label / f"{number}.png")
    return tmp_path / "photos"


@pytest.fixture
def space(tmp_path):
    """A space of eight networks, in a file."""
    path = tmp_path / "small.yaml"
    path.write_text(SMALL_SPACE)
    return path
