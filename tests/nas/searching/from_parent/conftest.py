from dataclasses import replace

import pytest
import torch

from nas.checkpoints.checkpoint import Checkpoint
from nas.checkpoints.usage import Usage
from nas.data.images import ArraySplit
from search_spaces import REFERENCES, ElasticSpace
from search_spaces.network import build
from tests.nas.adapting.test_adapt import DATA


def at(px):
    """The shared images at another size."""

    def resized(split):
        images = torch.nn.functional.interpolate(torch.tensor(split.images).float(), size=(px, px))
        return ArraySplit(images.byte().numpy(), split.labels)

    parts = {name: resized(getattr(DATA, name)) for name in ("train", "val", "test")}
    return replace(DATA, resolution_px=px, **parts)


IMAGES = {64: at(64), 32: at(32)}


@pytest.fixture(scope="session")
def parent():
    """A small network with random weights that knows the images' classes."""
    spec = REFERENCES["mobilenet_v2"](width=0.5, resolution=64, classes=len(DATA.classes))
    weights = build(spec, generator=torch.Generator().manual_seed(1)).state_dict()
    usage = Usage(DATA.classes, 64, DATA.mean, DATA.std)
    return Checkpoint(spec, weights, usage)


@pytest.fixture(scope="session")
def space(parent):
    return ElasticSpace(name="elastic", parent=parent.spec, resolutions=(64, 32))
