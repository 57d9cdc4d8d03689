"""Weights map to torchvision and back, key by key."""

import pytest
import torch
import torchvision

from search_spaces import REFERENCES, InputError
from search_spaces.heads.named import with_head
from search_spaces.network import build
from search_spaces.torchvision_keys import to_torchvision, torchvision_names

MODELS = torchvision.models
SAME = [
    ("mobilenet_v2", 1.0, MODELS.mobilenet_v2),
    ("mobilenet_v2", 0.35, lambda: MODELS.mobilenet_v2(width_mult=0.35)),
    ("mobilenet_v3_large", 1.0, MODELS.mobilenet_v3_large),
    ("mobilenet_v3_large", 0.5, lambda: MODELS.mobilenet_v3_large(width_mult=0.5)),
    ("mobilenet_v3_small", 1.0, MODELS.mobilenet_v3_small),
    ("mnasnet_b1", 1.0, MODELS.mnasnet1_0),
    ("mnasnet_b1", 0.5, MODELS.mnasnet0_5),
]


def from_torchvision(theirs, spec, *, ours):
    return {our: theirs[their] for our, their in torchvision_names(ours, spec).items()}


@pytest.mark.parametrize(("name", "width", "make"), SAME)
def test_round_trip(name, width, make):
    theirs = make().state_dict()
    spec = REFERENCES[name](width=width, convention="torchvision")
    network = build(spec)
    network.load_state_dict(from_torchvision(theirs, spec, ours=network.state_dict()))
    back = to_torchvision(network.state_dict(), spec)
    assert list(back) == list(theirs)
    for key, tensor in theirs.items():
        assert back[key].numpy().tobytes() == tensor.numpy().tobytes()


@pytest.mark.parametrize(("name", "width", "make"), SAME)
def test_logits_and_gradients_equal_torchvisions(name, width, make, randomized_norms):
    theirs = make().eval()
    randomized_norms(theirs)
    spec = REFERENCES[name](width=width, convention="torchvision")
    ours = build(spec).eval()
    ours.load_state_dict(from_torchvision(theirs.state_dict(), spec, ours=ours.state_dict()))
    images = torch.rand(2, 3, 96, 96, generator=torch.Generator().manual_seed(1))
    difference = (ours(images) - theirs(images)).abs().max()
    assert difference <= 1e-5
    ours(images).logsumexp(1).sum().backward()
    theirs(images).logsumexp(1).sum().backward()
    gradients = to_torchvision(dict(ours.named_parameters()), spec)
    for key, parameter in theirs.named_parameters():
        assert torch.allclose(gradients[key].grad, parameter.grad, atol=1e-5)


@pytest.mark.parametrize(
    "name", ["mobilenet_v1", "mnasnet_a1", "mnasnet_small", "mobilenet_v3_large_unimproved"]
)
def test_networks_that_torchvision_lacks(name):
    spec = REFERENCES[name]()
    with pytest.raises(InputError, match="torchvision has no class"):
        to_torchvision(build(spec).state_dict(), spec)


@pytest.mark.parametrize("head", ["ssdlite", "lraspp"])
def test_dense_heads_on_other_bodies_than_mobilenet_v3(head):
    spec = with_head(REFERENCES["mobilenet_v2"](), head)
    with pytest.raises(InputError, match=r"SSDLite and LR-ASPP on MobileNetV3"):
        torchvision_names(build(spec).state_dict(), spec)
