"""Weights of sub-networks: each is checked against the parent made to compute the same."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from netadapt.channel_selection import channel_order, select_channels
from netadapt.narrowing.depth import kept_blocks
from netadapt.sub_networks import sub_network
from netadapt.weights import inherit
from search_spaces import REFERENCES
from search_spaces.errors import InputError
from search_spaces.network import Network, build
from search_spaces.spaces.elastic import ElasticSpace
from search_spaces.spec import ArchSpec

V2 = REFERENCES["mobilenet_v2"](width=0.35, resolution=64, classes=5)
V3 = REFERENCES["mobilenet_v3_small"](width=0.35, resolution=64, classes=5)


def trained(spec: ArchSpec) -> Network:
    """A network whose batch norms do something."""
    generator = torch.Generator().manual_seed(0)
    network = build(spec, generator=generator).eval()
    for name, tensor in network.state_dict().items():
        if name.endswith(("running_mean", "bias")):
            tensor.copy_(torch.randn(tensor.shape, generator=generator) / 10)
        elif name.endswith("running_var") or (name.endswith("1.weight") and tensor.dim() == 1):
            tensor.copy_(0.5 + torch.rand(tensor.shape, generator=generator))
    return network


def answer(network: nn.Module, side: int = 64) -> torch.Tensor:
    with torch.no_grad():
        return network.eval()(
            torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(1))
        )


def child_of(parent: Network, spec: ArchSpec) -> Network:
    network = build(spec)
    weights = parent.state_dict()
    network.load_state_dict(
        sub_network(parent.spec, weights, spec, order=channel_order(parent.spec, weights))
    )
    return network


@pytest.mark.parametrize("spec", [V2, V3], ids=["v2", "v3"])
def test_the_whole_network_is_unchanged(spec):
    parent = trained(spec)
    assert torch.equal(answer(child_of(parent, spec)), answer(parent))


def test_a_dropped_residual_layer_adds_nothing():
    parent = trained(V2)
    blocks = tuple(block for index, block in enumerate(V2.blocks) if index not in (5, 9))
    child = child_of(parent, replace(V2, blocks=blocks))
    for index in (5, 9):
        parent.blocks[index] = nn.Identity()
    assert torch.allclose(answer(child), answer(parent), atol=1e-6)


def test_any_residual_layer_can_be_dropped():
    parent = trained(V2)
    kept = tuple(index for index in range(len(V2.blocks)) if index != 4)
    spec = replace(V2, blocks=tuple(V2.blocks[index] for index in kept))
    weights = parent.state_dict()
    child = build(spec)
    order = channel_order(V2, weights)
    child.load_state_dict(sub_network(V2, weights, spec, order=order, kept=kept))
    parent.blocks[4] = nn.Identity()
    assert torch.allclose(answer(child), answer(parent), atol=1e-6)


def test_a_dropped_squeeze_lets_everything_pass():
    parent = trained(V3)
    blocks = tuple(replace(block, se=0, gate="none") for block in V3.blocks)
    child = child_of(parent, replace(V3, blocks=blocks))
    for module in parent.modules():
        if type(module).__name__ == "SqueezeExcite":
            module.forward = lambda x: x
    assert torch.allclose(answer(child), answer(parent), atol=1e-5)


def test_a_smaller_kernel_is_the_center():
    parent = trained(V3)
    blocks = tuple(replace(block, kernel=3) for block in V3.blocks)
    child = child_of(parent, replace(V3, blocks=blocks))
    for module in parent.modules():
        if isinstance(module, nn.Conv2d) and module.kernel_size == (5, 5):
            border = torch.ones(5, 5)
            border[1:-1, 1:-1] = 0
            module.weight.data[:, :, border.bool()] = 0
    assert torch.allclose(answer(child), answer(parent), atol=1e-5)


@pytest.mark.parametrize("kernel", [5, 7])
@pytest.mark.parametrize("padding", ["torch", "same"])
@pytest.mark.parametrize("side", [64, 48])
def test_a_larger_kernel_computes_the_same_until_it_is_trained(kernel, padding, side):
    spec = replace(V2, padding=padding)
    parent = trained(spec)
    blocks = tuple(replace(block, kernel=kernel) for block in spec.blocks)
    child = child_of(parent, replace(spec, blocks=blocks))
    depthwise = child.blocks[3].layers[1][0].weight  # (channels, 1, kernel, kernel)
    assert depthwise.shape[-2:] == (kernel, kernel)
    assert torch.count_nonzero(depthwise) <= depthwise.shape[0] * 9
    assert torch.allclose(answer(child, side), answer(parent, side), atol=1e-5)


def test_larger_kernels_of_one_stage_and_smaller_ones_of_another():
    spec = replace(V3, blocks=tuple(replace(block, kernel=5) for block in V3.blocks))
    parent = trained(spec)
    kernels = [3 if index < 3 else 7 for index in range(len(spec.blocks))]
    blocks = [replace(one, kernel=side) for one, side in zip(spec.blocks, kernels, strict=True)]
    child = child_of(parent, replace(spec, blocks=tuple(blocks)))
    for block in parent.blocks[:3]:
        for module in block.modules():
            if isinstance(module, nn.Conv2d) and module.kernel_size == (5, 5):
                border = torch.ones(5, 5)
                border[1:-1, 1:-1] = 0
                module.weight.data[:, :, border.bool()] = 0
    assert torch.allclose(answer(child), answer(parent), atol=1e-5)


def test_a_larger_kernel_learns_at_its_border():
    spec = replace(V2, blocks=tuple(replace(block, kernel=5) for block in V2.blocks))
    child = child_of(trained(V2), spec)
    child(torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))).sum().backward()
    assert child.blocks[3].layers[1][0].weight.grad[:, :, 0].abs().max() > 0


def test_narrower_widths_are_those_of_netadapt():
    parent = trained(V2)
    space = ElasticSpace(name="s", parent=V2, resolutions=(64,))
    spec = space.decode(space.uniform(0.5, 64))
    wanted = inherit(V2, parent.state_dict(), spec, selection="norm")
    found = child_of(parent, spec).state_dict()
    assert all(torch.equal(found[name], tensor) for name, tensor in wanted.items())


def test_everything_at_once_has_the_childs_shapes():
    parent = trained(V3)
    space = ElasticSpace(name="s", parent=V3, resolutions=(32, 64), heads=(0.5, 1.0))
    generator = torch.Generator().manual_seed(3)
    for _ in range(20):
        tokens = tuple(
            int(torch.randint(arity, (), generator=generator)) for arity in space.arities
        )
        spec = space.decode(tokens)
        assert answer(child_of(parent, spec), spec.resolution).isfinite().all()


def test_sub_networks_are_nested():
    weights = trained(V2).state_dict()
    order = channel_order(V2, weights)
    space = ElasticSpace(name="s", parent=V2, resolutions=(64,))
    narrow, wide = (space.decode(space.uniform(one, 64)) for one in (0.5, 0.75))
    few, many = (select_channels(V2, weights, one, selection=order) for one in (narrow, wide))
    assert any(len(few[name]) < len(many[name]) for name in few)
    assert all(set(few[name].tolist()) <= set(many[name].tolist()) for name in few)


def test_what_is_no_sub_network_is_refused():
    parent = trained(V2)
    weights = parent.state_dict()
    order = channel_order(V2, weights)
    blocks = V2.blocks
    for spec, said in (
        (V3, "stages"),
        (
            replace(V2, blocks=(*blocks[:3], blocks[2], *blocks[3:])),
            "stage 2 of the child has 3 blocks",
        ),
        (replace(V2, stem=replace(V2.stem, out=V2.stem.out + 8)), "stem|block 0"),
    ):
        with pytest.raises(InputError, match=said):
            sub_network(V2, weights, spec, order=order)
    with pytest.raises(InputError, match="kept names 1 blocks"):
        sub_network(V2, weights, V2, order=order, kept=(0,))
    with pytest.raises(InputError, match="is missing"):
        sub_network(V2, {}, V2, order=order)
    assert kept_blocks(V2, V2) == tuple(range(17))
