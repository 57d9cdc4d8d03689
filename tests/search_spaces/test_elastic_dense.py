"""Sub-networks of detectors and segmentation networks, and MnasNet's space with their heads."""

import pytest
import torch

from nas.tasks.heads import headed
from netadapt.channel_selection import channel_order
from netadapt.sub_networks import sub_network
from search_spaces import ElasticSpace, InputError, count, load_space
from search_spaces.heads.named import with_head
from search_spaces.network import build
from search_spaces.references import mobilenet_v2
from tests.nas.small_parent import deep_parent

HEADS = ("ssdlite", "lraspp", "raspp-os32")


def tensors(outputs):
    return outputs if isinstance(outputs, tuple) else (outputs,)


@pytest.fixture(params=HEADS)
def parent(request, randomized_norms):
    spec = with_head(deep_parent().spec, request.param, classes=3)
    network = build(spec, generator=torch.Generator().manual_seed(0))
    randomized_norms(network)
    return spec, network.state_dict()


def test_each_decoded_network_loads_its_weights_and_is_encoded_again(parent, random_tokens):
    spec, weights = parent
    space = ElasticSpace.of(spec, classes=3, resolutions=(96, 64))
    order = channel_order(spec, weights)
    for seed in range(5):
        child = space.decode(random_tokens(space.arities, seed))
        assert space.decode(space.encode(child)) == child
        network = build(child)
        network.load_state_dict(sub_network(space.parent, weights, child, order=order))
        found = tensors(network.eval()(torch.rand(2, 3, child.resolution, child.resolution)))
        assert all(one.isfinite().all() for one in found)


def test_what_is_not_narrowed_is_the_parent_at_any_resolution(parent):
    spec, weights = parent
    space = ElasticSpace.of(spec, classes=3, resolutions=(96, 64))
    order = channel_order(spec, weights)
    for px in space.resolutions:
        child = space.decode(space.uniform(1.0, px))
        ours, theirs = build(child), build(spec)
        ours.load_state_dict(sub_network(space.parent, weights, child, order=order))
        theirs.load_state_dict(weights)
        images = torch.rand(2, 3, px, px)
        for one, other in zip(
            tensors(ours.eval()(images)), tensors(theirs.eval()(images)), strict=True
        ):
            assert torch.equal(one, other)


def test_a_uniform_width_narrows_the_layers_of_the_head_too():
    spec = with_head(mobilenet_v2(resolution=64), "ssdlite", classes=3)
    space = ElasticSpace.of(spec, classes=3, resolutions=(64,))
    half = space.decode(space.uniform(0.5, 64))
    assert [extra.out for extra in half.head.extras] == [256, 128, 128, 64]
    assert half.head.conv == 640
    names = [name for name, _ in space.labels]
    assert {"head", "head layers"} <= set(names)
    bare = ElasticSpace.of(mobilenet_v2(), classes=3, resolutions=(64,))
    assert "head layers" not in [name for name, _ in bare.labels]


@pytest.mark.parametrize("head", [None, "raspp-os8", "lraspp-f64-os32", "ssdlite"])
def test_mnasnets_space_with_a_head_has_the_same_bodies(head, random_tokens):
    task = "detect" if head == "ssdlite" else "segment"
    bare = load_space("mnasnet", resolution=64, classes=3)
    space = bare.with_head(lambda spec: headed(spec, task, classes=3, head=head))
    for seed in range(2):
        tokens = random_tokens(space.arities, seed)
        spec = space.decode(tokens)
        assert spec == headed(bare.decode(tokens), task, classes=3, head=head)
        assert space.decode(space.encode(spec)) == spec
        assert space.encode(spec) == bare.encode(bare.decode(tokens))
    assert count(spec).params > 0


def test_a_head_that_narrows_the_body_is_refused_by_a_space():
    with pytest.raises(InputError, match="space mnasnet decides the widths of its last stage"):
        load_space("mnasnet").with_head(lambda spec: with_head(spec, "ssdlite-half", classes=3))
