from dataclasses import replace

import pytest
import torch

from nas.checkpoints.usage import Usage
from nas.data.images import ArraySplit
from search_spaces import ElasticSpace
from tests.nas.adapting.test_adapt import DATA
from tests.nas.small_parent import small_parent


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
    usage = Usage(DATA.classes, 64, DATA.mean, DATA.std)
    return replace(small_parent(DATA.classes), usage=usage)


@pytest.fixture(scope="session")
def space(parent):
    return ElasticSpace(name="elastic", parent=parent.spec, resolutions=(64, 32))
