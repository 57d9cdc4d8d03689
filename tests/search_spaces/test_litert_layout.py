"""The layout that networks are converted to LiteRT in; a stand-in for litert-torch runs them in torch."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from search_spaces import REFERENCES
from search_spaces.exporting import litert_export
from search_spaces.exporting.pixel_input import PixelInput
from search_spaces.heads.named import with_head
from search_spaces.network import build


class ChannelsLast(nn.Module):
    """What `litert_torch.to_channel_last_io` returns, for one input."""

    def __init__(self, network, args, outputs):
        super().__init__()
        self.network, self.args, self.outputs = network, args, outputs

    def forward(self, image):
        outputs = self.network(image.movedim(-1, 1) if 0 in self.args else image)
        several = isinstance(outputs, tuple)
        moved = list(outputs) if several else [outputs]
        for index in self.outputs:
            moved[index] = moved[index].movedim(1, -1)
        return tuple(moved)


@pytest.fixture
def converted(monkeypatch):
    """Converts a network; returns the type of its input and the shapes of its outputs."""
    found = []

    def convert(module, examples):
        found.extend([examples[0].dtype, *(tuple(one.shape) for one in module(*examples))])
        return SimpleNamespace(model_content=lambda: b"model")

    def wrap(network, args=None, outputs=None):
        return ChannelsLast(network, args, outputs)

    stand_in = SimpleNamespace(to_channel_last_io=wrap, convert=convert)
    monkeypatch.setattr(litert_export, "litert_module", lambda _: stand_in)

    def run(network):
        assert litert_export.to_tflite(network) == b"model"
        return found

    return run


@pytest.mark.parametrize("pixels", [False, True])
@pytest.mark.parametrize("head", [None, "ssdlite", "lraspp", "raspp"])
def test_maps_have_channels_last_whatever_the_input_takes(converted, head, pixels):
    spec = REFERENCES["mobilenet_v3_small"](width=0.35, resolution=64, classes=3)
    spec = spec if head is None else with_head(spec, head, classes=3)
    network = build(spec)
    fed = PixelInput(network, spec, mean=(0.5,) * 3, std=(0.25,) * 3) if pixels else network
    with torch.no_grad():
        dtype, *shapes = converted(fed)
        plain = network.eval()(torch.zeros(1, 3, 64, 64))
    assert dtype == (torch.uint8 if pixels else torch.float32)
    expected = [tuple(one.shape) for one in (plain if isinstance(plain, tuple) else (plain,))]
    if len(expected[0]) == 4:
        expected = [(1, *shape[2:], shape[1]) for shape in expected]
    assert shapes == expected
