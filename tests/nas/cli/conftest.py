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
