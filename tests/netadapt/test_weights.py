"""A child that inherits computes what its parent does with the removed channels held at zero."""

import random
from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from torch import nn

from netadapt import narrowed, width_groups
from netadapt.channel_selection import select_channels
from netadapt.narrowing.narrowed import resized
from netadapt.transfer import transfer
from netadapt.weights import inherit
from search_spaces import REFERENCES, InputError, load_space
from search_spaces.channels import channel_counts, tensor_spaces
from search_spaces.layers import SqueezeExcite
from search_spaces.network import Network, build

NETWORKS = [
    "mobilenet_v1",
    "mobilenet_v2",
    "mobilenet_v3_large",
    "mobilenet_v3_small",
    "mnasnet_a1",
]


def small(name):
    return REFERENCES[name](width=0.5, resolution=32, classes=5)


def from_the_space(seed):
    space = load_space("mnasnet", resolution=32, classes=5)
    rng = random.Random(seed)
    spec = space.decode(tuple(rng.randrange(arity) for arity in space.arities))
    return replace(spec, head=replace(spec.head, conv=64, hidden=rng.choice([0, 48])))


@pytest.fixture
def trained(randomized_norms):
    """A network in eval mode whose norms, scales and biases are all away from their initial values."""

    def make(spec):
        network = build(spec).eval()
        randomized_norms(network)
        generator = torch.Generator().manual_seed(3)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.data.uniform_(0.5, 1.5, generator=generator)
                module.bias.data.normal_(0, 0.2, generator=generator)
            elif isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
                module.bias.data.normal_(0, 0.2, generator=generator)
        return network

    return make


def masked(network, kept):
    """Hold the removed channels at zero, module by module, and return the network."""
    spec = network.spec
    with torch.no_grad():
        space = "stem out"
        mask_convolution(network.stem, kept[space])
        for index, block in enumerate(network.blocks):
            inner = f"block {index} expansion"
            out = f"block {index} out" if block.skip == "none" else space
            op = spec.blocks[index].op
            order = {"mbconv": [inner, inner, out], "sepconv": [space, out], "conv": [out]}[op]
            convolutions = [m for m in block.layers if not isinstance(m, SqueezeExcite)]
            for layer, made in zip(convolutions, order, strict=True):
                mask_convolution(layer, kept[made])
            for layer in block.layers:
                if isinstance(layer, SqueezeExcite):
                    mask_biased(layer.squeeze, kept[f"block {index} squeeze"])
            space = out
        if spec.head.conv:
            mask_convolution(network.head.conv, kept["head conv"])
        if spec.head.hidden:
            mask_biased(network.head.classifier[0], kept["head hidden"])
    return network


def removed(size, kept):
    gone = torch.ones(size, dtype=torch.bool)
    gone[kept] = False
    return gone


def mask_convolution(layer, kept):
    """Zero scale and shift make a batch norm output zero, which every activation here maps to zero."""
    gone = removed(layer[1].num_features, kept)
    layer[1].weight[gone] = 0
    layer[1].bias[gone] = 0


def mask_biased(layer, kept):
    gone = removed(layer.weight.shape[0], kept)
    layer.weight[gone] = 0
    layer.bias[gone] = 0


def outputs(network, spec):
    images = torch.randn(2, 3, spec.resolution, spec.resolution, generator=seeded(5))
    with torch.inference_mode():
        return network(images)


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def assert_equals_masked_parent(parent, network, child, selection):
    weights = network.state_dict()
    inherited = inherit(parent, weights, child, selection=selection)
    with torch.device("meta"):  # nothing is initialized: every tensor is inherited
        narrow = Network(child).eval()
    narrow.load_state_dict(inherited, assign=True)
    kept = select_channels(parent, weights, child, selection=selection)
    assert {space: len(indices) for space, indices in kept.items()} == channel_counts(child)
    expected = outputs(masked(deepcopy(network), kept), parent)
    scale = expected.abs().max()
    assert scale > 0
    assert torch.allclose(outputs(narrow, child) / scale, expected / scale, atol=1e-5)


def one_of_each_kind(spec, rng):
    """Yield a random group of each kind, and both a tied and an untied bottleneck."""
    groups = width_groups(spec, include_stem_and_head=True)
    kinds = {(group.kind, len(group.blocks) + group.stem > 1) for group in groups}
    for kind in sorted(kinds):
        yield rng.choice([g for g in groups if (g.kind, len(g.blocks) + g.stem > 1) == kind])


def everything_narrowed(spec, rng):
    child = spec
    for group in width_groups(spec, include_stem_and_head=True):
        child = narrowed(
            child, group, rng.randint(max(1, group.width // 3), group.width), seed=spec
        )
    return child


@pytest.mark.parametrize("name", NETWORKS)
def test_published_networks_equal_their_masked_parents(name, trained):
    check_masking(small(name), trained, random.Random(name))


@pytest.mark.parametrize("seed", range(4))
def test_random_networks_of_the_space_equal_their_masked_parents(seed, trained):
    check_masking(from_the_space(seed), trained, random.Random(seed))


def check_masking(parent, trained, rng):
    network = trained(parent)
    for group in one_of_each_kind(parent, rng):
        child = narrowed(parent, group, rng.randint(1, group.width - 1))
        assert_equals_masked_parent(parent, network, child, rng.choice(["first", "norm"]))
    for selection in ("first", "norm"):
        child = everything_narrowed(parent, rng)
        assert_equals_masked_parent(parent, network, child, selection)


VARIED = ("mobilenet_v3_small", "mnasnet_a1")
"""Between them they have both rules of squeeze-and-excite, and blocks with and without it."""

LONG = (pytest.mark.slow, pytest.mark.long)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in VARIED else LONG) for name in NETWORKS]
)
def test_growing_preserves_the_function(name, trained):
    seed, rng = small(name), random.Random(name)
    parent = everything_narrowed(seed, rng)
    network = trained(parent)
    expected = outputs(network, parent)
    groups = zip(
        width_groups(parent, include_stem_and_head=True),
        width_groups(seed, include_stem_and_head=True),
        strict=True,
    )
    for narrow, before in groups:
        if narrow.width == before.width:
            continue
        child = resized(parent, narrow, before.width, seed=seed)
        weights = transfer(parent, network.state_dict(), child)
        wide = build(child).eval()
        wide.load_state_dict(weights)
        assert torch.allclose(outputs(wide, child), expected, atol=1e-5)
        # The new channels learn: the weights that read them get a gradient.
        wide.train()(torch.randn(4, 3, 32, 32, generator=seeded(1))).square().sum().backward()
        spaces = tensor_spaces(parent)
        reads = [
            (tensor.grad[: weights_of.shape[0], weights_of.shape[1] :], key)
            for key, tensor in wide.named_parameters()
            if len(spaces[key]) == 2
            for weights_of in [network.state_dict()[key]]
            if tensor.shape[1] > weights_of.shape[1]
        ]
        assert reads
        assert any(gradient.abs().max() > 0 for gradient, _ in reads)


def test_a_child_both_wider_and_narrower_is_refused(trained):
    parent = narrowed(small("mobilenet_v2"), width_groups(small("mobilenet_v2"))[2], 8)
    first, other = width_groups(parent)[2], width_groups(parent)[3]
    child = resized(resized(parent, first, 16), other, 8)
    with pytest.raises(InputError, match="only narrower networks inherit"):
        transfer(parent, trained(parent).state_dict(), child)


@pytest.mark.parametrize("name", sorted(REFERENCES))
def test_tensor_spaces_follow_the_state_dict(name):
    spec = small(name)
    assert list(tensor_spaces(spec)) == list(build(spec).state_dict())


@pytest.mark.parametrize("seed", range(10))
def test_tensor_spaces_match_the_shapes_of_random_networks(seed):
    spec = from_the_space(seed)
    sizes, weights = channel_counts(spec), build(spec).state_dict()
    assert list(tensor_spaces(spec)) == list(weights)
    for name, spaces in tensor_spaces(spec).items():
        assert weights[name].shape[: len(spaces)] == tuple(sizes[space] for space in spaces)


@pytest.mark.parametrize("selection", ["first", "norm"])
def test_without_removed_channels_the_weights_are_copied(selection, trained):
    spec = small("mobilenet_v3_small")
    weights = trained(spec).state_dict()
    inherited = inherit(spec, weights, spec, selection=selection)
    assert list(inherited) == list(weights)
    for name, tensor in inherited.items():
        assert torch.equal(tensor, weights[name])
        assert tensor.dtype == weights[name].dtype
        assert tensor.data_ptr() != weights[name].data_ptr(), "no memory is shared with the parent"


def test_truncation_keeps_the_first_channels(trained):
    parent = small("mobilenet_v2")
    weights = trained(parent).state_dict()
    group = next(g for g in width_groups(parent) if g.name == "block 1 expansion")
    inherited = inherit(parent, weights, narrowed(parent, group, 10))
    name = "blocks.1.layers.{}.weight"
    for place in ("0.0", "0.1", "1.0", "1.1"):
        assert torch.equal(inherited[name.format(place)], weights[name.format(place)][:10])
    assert torch.equal(inherited[name.format("2.0")], weights[name.format("2.0")][:, :10])


def test_norms_are_summed_over_tied_projections(trained):
    parent = small("mobilenet_v3_large")
    network = trained(parent)
    group = next(g for g in width_groups(parent) if g.name == "blocks 1-2 bottleneck")
    projections = [network.blocks[index].layers[-1][0].weight for index in (1, 2)]
    with torch.no_grad():
        for weight in projections:
            weight[:] = 0.01
        projections[0][5] = 1.0
        projections[1][3] = 2.0
        projections[1][7] = 1.5
    child = narrowed(parent, group, 3)
    kept = select_channels(parent, network.state_dict(), child, selection="norm")
    assert kept["block 1 out"].tolist() == [3, 5, 7]
    unequal = select_channels(
        parent, network.state_dict(), narrowed(parent, group, 5), selection="norm"
    )
    assert unequal["block 1 out"].tolist() == [0, 1, 3, 5, 7], "the first of equal norms"


def test_depthwise_and_excite_filters_are_not_counted(trained):
    """Only the 1x1 convolution of an expansion produces its channels."""
    parent = small("mobilenet_v3_large")
    network = trained(parent)
    block = network.blocks[3]
    with torch.no_grad():
        block.layers[2].excite.weight[:2] = 100.0
        block.layers[1][0].weight[:2] = 100.0
        block.layers[0][0].weight[:2] = 0.0
    group = next(g for g in width_groups(parent) if g.name == "block 3 expansion")
    kept = select_channels(
        parent, network.state_dict(), narrowed(parent, group, group.width - 2), selection="norm"
    )
    assert kept["block 3 expansion"].tolist() == list(range(2, group.width))


def test_a_wider_squeeze_gets_initial_weights(trained):
    parent = small("mobilenet_v3_small")
    weights = trained(parent).state_dict()
    block = replace(parent.blocks[4], se=parent.blocks[4].se + 3)
    child = replace(parent, blocks=(*parent.blocks[:4], block, *parent.blocks[5:]))
    inherited = inherit(parent, weights, child, generator=seeded(1))
    build(child).load_state_dict(inherited)
    name = "blocks.4.layers.2.squeeze.weight"
    assert torch.equal(inherited[name][:-3], weights[name])
    assert inherited[name][-3:].abs().min() > 0
    again = inherit(parent, weights, child, generator=seeded(1))
    other = inherit(parent, weights, child, generator=seeded(2))
    assert torch.equal(inherited[name], again[name])
    assert not torch.equal(inherited[name], other[name])


def test_inherit_leaves_the_global_generator_alone(trained):
    parent = small("mobilenet_v3_small")
    weights = trained(parent).state_dict()
    before = torch.random.get_rng_state()
    inherit(parent, weights, narrowed(parent, width_groups(parent)[0], 8))
    assert torch.equal(before, torch.random.get_rng_state())


def test_inherit_rejects_a_child_of_another_shape():
    parent = small("mobilenet_v3_small")
    weights = build(parent).state_dict()
    block = replace(parent.blocks[2], kernel=7)
    for child, match in [
        (replace(parent, blocks=parent.blocks[:-1]), "block 10 is not the parent's"),
        (replace(parent, blocks=(*parent.blocks[:2], block, *parent.blocks[3:])), "block 2 is not"),
        (replace(parent, head=replace(parent.head, classes=4)), "head is not the parent's"),
        (replace(parent, head=replace(parent.head, hidden=0)), "head is not the parent's"),
        (small("mobilenet_v2"), "is not the parent's"),
        (
            replace(parent, head=replace(parent.head, conv=parent.head.conv + 8)),
            "head conv: .* only narrower networks inherit",
        ),
    ]:
        with pytest.raises(InputError, match=match):
            inherit(parent, weights, child)


def test_inherit_rejects_weights_of_another_network():
    parent = small("mobilenet_v3_small")
    weights = build(parent).state_dict()
    name = "stem.0.weight"
    for wrong, match in [
        ({k: v for k, v in weights.items() if k != name}, f"{name} is missing"),
        (weights | {"extra": torch.zeros(1)}, "extra belongs to another network"),
        (weights | {name: weights[name][:4]}, rf"{name} is \(4, 3, 3, 3\), the parent's is \(8,"),
    ]:
        with pytest.raises(InputError, match=match):
            inherit(parent, wrong, parent)


def test_unknown_channel_selection():
    parent = small("mobilenet_v3_small")
    with pytest.raises(InputError, match="selection must be first or norm, got 'last'"):
        inherit(parent, build(parent).state_dict(), parent, selection="last")
