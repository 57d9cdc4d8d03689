"""Weight inheritance, widths and sub-networks of detectors and segmentation networks."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from netadapt.channel_selection import channel_order
from netadapt.narrowing.groups import width_groups
from netadapt.narrowing.narrowed import narrowed, narrowest
from netadapt.narrowing.widths import Widths
from netadapt.sub_networks import sub_network
from netadapt.uniform import scaled
from netadapt.weights import grow, inherit
from search_spaces import REFERENCES, ElasticSpace, InputError, count
from search_spaces.heads.named import with_head
from search_spaces.network import Network, build
from search_spaces.spec import ArchSpec

HEADS = ("ssdlite", "lraspp", "raspp")
PX = 64


def dense(head: str, body: str = "mobilenet_v3_small") -> ArchSpec:
    return with_head(REFERENCES[body](resolution=PX), head, classes=3)


def outputs(spec: ArchSpec, weights: dict[str, torch.Tensor]) -> list[torch.Tensor]:
    network = Network(spec)
    network.load_state_dict(weights)
    image = torch.randn(1, 3, PX, PX, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        found = network.eval()(image)
    return [found] if isinstance(found, torch.Tensor) else list(found)


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("body", ["mobilenet_v2", "mobilenet_v3_small", "mobilenet_v1"])
def test_every_width_of_a_head_is_a_group(head, body):
    spec = dense(head, body)
    kinds = {group.name for group in width_groups(spec)}
    assert ("head conv" in kinds) == (spec.head.conv > 0)
    wanted = {"extra 0 inner", "extra 3 out"} if head == "ssdlite" else {"head filters"}
    assert wanted <= kinds
    for group in width_groups(spec):
        width = max(1, group.width // 2)
        child = narrowed(spec, group, width)
        assert count(child).params < count(spec).params, group.name
        weights = inherit(spec, build(spec).state_dict(), child, selection="norm")
        outputs(child, weights)  # it loads, and runs


@pytest.mark.parametrize("head", HEADS)
def test_a_child_computes_what_its_parent_does_without_the_removed_channels(head):
    """All channels that go are silenced in the parent: their filters and batch norms are zero."""
    spec = dense(head)
    weights = build(spec).state_dict()
    for group in width_groups(spec):
        if not (group.kind.startswith(("extra", "head"))):
            continue
        child = narrowed(spec, group, group.width // 2)
        kept = inherit(spec, weights, child, selection="first")
        # Growing the child back adds channels that nothing reads: the function stays.
        back = grow(child, kept, spec)
        for ours, theirs in zip(outputs(child, kept), outputs(spec, back), strict=True):
            torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("head", HEADS)
def test_sub_networks_of_a_dense_parent(head):
    parent = dense(head, "mobilenet_v2")
    space = ElasticSpace.of(parent, classes=3, resolutions=(64, 96))
    weights = build(space.parent).state_dict()
    order = channel_order(space.parent, weights)
    generator = torch.Generator().manual_seed(1)
    for _ in range(5):
        tokens = tuple(int(torch.randint(n, (), generator=generator)) for n in space.arities)
        child = space.decode(tokens)
        assert space.decode(space.encode(child)) == child
        inherited = sub_network(space.parent, weights, child, order=order)
        outputs(child, inherited)
    same = sub_network(space.parent, weights, space.parent, order=order)
    for ours, theirs in zip(
        outputs(space.parent, same), outputs(space.parent, weights), strict=True
    ):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("head", HEADS)
def test_a_uniform_multiplier_scales_the_head_too(head):
    spec = dense(head)
    half = scaled(spec, 0.5)
    assert half.head.conv == spec.head.conv // 2
    if head == "ssdlite":
        assert [extra.out for extra in half.head.extras] == [256, 128, 128, 64]
    else:
        assert half.head.filters == spec.head.filters // 2
    outputs(half, inherit(spec, build(spec).state_dict(), half))
    least = narrowest(spec, Widths())
    assert count(least).params < count(half).params


def test_another_head_is_no_narrowing():
    spec = dense("lraspp")
    other = replace(spec, head=replace(spec.head, skip="depthwise"))
    with pytest.raises(InputError, match="head is not the parent's"):
        inherit(spec, build(spec).state_dict(), other)
