"""An inheriting child computes what its parent does with the removed channels held at zero."""

import random
from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from torch import nn

from netadapt import narrowed, width_groups
from netadapt.channels import channels, tensor_spaces
from netadapt.narrowing import resized
from netadapt.weights import inherit, kept_channels, passed_on
from search_spaces import REFERENCES, InputError, load_space
from search_spaces.network import Network, SqueezeExcite, build

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
    """A network in eval mode with nothing at its neutral start: norms, scales, biases."""

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
    """Hold the removed channels at zero, module by module; returns the network."""
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
    """A batch norm without scale and shift puts out zero, and every activation here keeps zero."""
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


def assert_equals_masked_parent(parent, network, child, keep):
    weights = network.state_dict()
    inherited = inherit(parent, weights, child, keep=keep)
    with torch.device("meta"):  # nothing is drawn: every tensor is the inherited one
        narrow = Network(child).eval()
    narrow.load_state_dict(inherited, assign=True)
    kept = kept_channels(parent, weights, child, keep=keep)
    assert {space: len(indices) for space, indices in kept.items()} == channels(child)
    expected = outputs(masked(deepcopy(network), kept), parent)
    scale = expected.abs().max()
    assert scale > 0
    assert torch.allclose(outputs(narrow, child) / scale, expected / scale, atol=1e-5)


def one_of_each_kind(spec, rng):
    """A group of each kind, and of those of bottlenecks one with and one without a tie."""
    groups = width_groups(spec, ends=True)
    kinds = {(group.kind, len(group.blocks) + group.stem > 1) for group in groups}
    for kind in sorted(kinds):
        yield rng.choice([g for g in groups if (g.kind, len(g.blocks) + g.stem > 1) == kind])


def everything_narrowed(spec, rng):
    child = spec
    for group in width_groups(spec, ends=True):
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
    for keep in ("first", "norm"):
        child = everything_narrowed(parent, rng)
        assert_equals_masked_parent(parent, network, child, keep)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_wider_child_computes_what_its_parent_does(name, trained):
    seed, rng = small(name), random.Random(name)
    parent = everything_narrowed(seed, rng)
    network = trained(parent)
    expected = outputs(network, parent)
    groups = zip(width_groups(parent, ends=True), width_groups(seed, ends=True), strict=True)
    for narrow, before in groups:
        if narrow.width == before.width:
            continue
        child = resized(parent, narrow, before.width, seed=seed)
        weights = passed_on(parent, network.state_dict(), child)
        wide = build(child).eval()
        wide.load_state_dict(weights)
        assert torch.allclose(outputs(wide, child), expected, atol=1e-5)
        # And the new channels learn: what reads them gets a gradient.
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
    with pytest.raises(InputError, match="only narrower ones inherit"):
        passed_on(parent, trained(parent).state_dict(), child)


@pytest.mark.parametrize("name", sorted(REFERENCES))
def test_the_tensors_are_the_networks_own_in_its_order(name):
    spec = small(name)
    assert list(tensor_spaces(spec)) == list(build(spec).state_dict())


@pytest.mark.parametrize("seed", range(10))
def test_the_tensors_of_the_space(seed):
    spec = from_the_space(seed)
    sizes, weights = channels(spec), build(spec).state_dict()
    assert list(tensor_spaces(spec)) == list(weights)
    for name, spaces in tensor_spaces(spec).items():
        assert weights[name].shape[: len(spaces)] == tuple(sizes[space] for space in spaces)


@pytest.mark.parametrize("keep", ["first", "norm"])
def test_exact_where_nothing_is_removed(keep, trained):
    spec = small("mobilenet_v3_small")
    weights = trained(spec).state_dict()
    inherited = inherit(spec, weights, spec, keep=keep)
    assert list(inherited) == list(weights)
    for name, tensor in inherited.items():
        assert torch.equal(tensor, weights[name])
        assert tensor.dtype == weights[name].dtype
        assert tensor.data_ptr() != weights[name].data_ptr(), "the parent's own stay untouched"


def test_truncation_keeps_the_first_channels(trained):
    parent = small("mobilenet_v2")
    weights = trained(parent).state_dict()
    group = next(g for g in width_groups(parent) if g.name == "block 1 expansion")
    inherited = inherit(parent, weights, narrowed(parent, group, 10))
    name = "blocks.1.layers.{}.weight"
    for place in ("0.0", "0.1", "1.0", "1.1"):
        assert torch.equal(inherited[name.format(place)], weights[name.format(place)][:10])
    assert torch.equal(inherited[name.format("2.0")], weights[name.format("2.0")][:, :10])


def test_the_norm_is_summed_over_all_that_a_residual_ties(trained):
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
    kept = kept_channels(parent, network.state_dict(), child, keep="norm")
    assert kept["block 1 out"].tolist() == [3, 5, 7]
    unequal = kept_channels(parent, network.state_dict(), narrowed(parent, group, 5), keep="norm")
    assert unequal["block 1 out"].tolist() == [0, 1, 3, 5, 7], "of equal norms the first"


def test_scaling_filters_do_not_count_as_making_channels(trained):
    """An expansion's channels are made by its 1x1 convolution alone."""
    parent = small("mobilenet_v3_large")
    network = trained(parent)
    block = network.blocks[3]
    with torch.no_grad():
        block.layers[2].excite.weight[:2] = 100.0
        block.layers[1][0].weight[:2] = 100.0
        block.layers[0][0].weight[:2] = 0.0
    group = next(g for g in width_groups(parent) if g.name == "block 3 expansion")
    kept = kept_channels(
        parent, network.state_dict(), narrowed(parent, group, group.width - 2), keep="norm"
    )
    assert kept["block 3 expansion"].tolist() == list(range(2, group.width))


def test_a_wider_squeeze_gets_drawn_weights(trained):
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


def test_the_global_generator_stays_where_it_is(trained):
    parent = small("mobilenet_v3_small")
    weights = trained(parent).state_dict()
    before = torch.random.get_rng_state()
    inherit(parent, weights, narrowed(parent, width_groups(parent)[0], 8))
    assert torch.equal(before, torch.random.get_rng_state())


def test_a_child_of_another_shape():
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
            "head conv: .* only narrower ones inherit",
        ),
    ]:
        with pytest.raises(InputError, match=match):
            inherit(parent, weights, child)


def test_weights_of_another_network():
    parent = small("mobilenet_v3_small")
    weights = build(parent).state_dict()
    name = "stem.0.weight"
    for wrong, match in [
        ({k: v for k, v in weights.items() if k != name}, f"{name} are missing"),
        (weights | {"extra": torch.zeros(1)}, "extra are of another network"),
        (weights | {name: weights[name][:4]}, rf"{name} is \(4, 3, 3, 3\), the parent's is \(8,"),
    ]:
        with pytest.raises(InputError, match=match):
            inherit(parent, wrong, parent)


def test_an_unknown_way_to_choose():
    parent = small("mobilenet_v3_small")
    with pytest.raises(InputError, match="keep must be first or norm, got 'last'"):
        inherit(parent, build(parent).state_dict(), parent, keep="last")
