"""What overlaps is the parent's; a child that only has more computes what its parent does."""

import random
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional

from nas.searching.from_scratch.inheritance import most_similar, overlapping, source_tokens
from netadapt import narrowed, width_groups
from netadapt.weights import inherit
from search_spaces import REFERENCES, InputError, load_space
from search_spaces.network import build

PX, CLASSES = 32, 10
SPACE = load_space("mnasnet", resolution=PX, classes=CLASSES)
PLAIN = {"op": "mbconv3", "kernel": 3, "se": 0.25, "skip": "identity", "out": 0, "depth": 1}


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def tokens_of(changes=None, **fields):
    """Every block like `PLAIN`, but for `fields`, and for `changes` by (block, field).

    Widths and depths are given as tokens: their values differ from block to block.
    """
    changes = changes or {}

    def token(index, name):
        value = changes.get((index, name), (PLAIN | fields)[name])
        return (
            value if name in ("out", "depth") else getattr(SPACE.blocks[index], name).index(value)
        )

    return tuple(token(index, name) for index, name in SPACE.decisions)


def images(count=4, seed=5):
    return torch.randn(count, 3, PX, PX, generator=seeded(seed))


def trained(spec, seed=3):
    """A network in eval mode with nothing at its neutral start, and norms that fit its features."""
    network = build(spec, generator=seeded(seed))
    generator = seeded(seed + 1)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.weight.data.uniform_(0.5, 1.5, generator=generator)
            module.bias.data.normal_(0, 0.2, generator=generator)
            module.momentum = None
        elif isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
            module.bias.data.normal_(0, 0.2, generator=generator)
    with torch.no_grad():
        network(images(8, seed))
    return network.eval()


def started(parent, weights, child, seed=7):
    """The child of two token sequences with what it takes, in eval mode."""
    spec = SPACE.decode(child)
    state = overlapping(
        SPACE.decode(parent),
        weights,
        spec,
        parent_places=SPACE.places(parent),
        child_places=SPACE.places(child),
        generator=seeded(seed),
    )
    network = build(spec)
    network.load_state_dict(state)
    return network.eval()


def in_a_row(spec):
    return [(0, index) for index in range(len(spec.blocks))]


def overlapping_in_a_row(parent, weights, child, seed=7):
    return overlapping(
        parent,
        weights,
        child,
        parent_places=in_a_row(parent),
        child_places=in_a_row(child),
        generator=seeded(seed),
    )


def assert_same_function(network, other):
    """In double precision, where rounding leaves no doubt."""
    with torch.inference_mode():
        expected, found = (module.double()(images().double()) for module in (network, other))
    scale = expected.abs().max()
    assert (expected[0] - expected[1]).abs().max() > 0.01 * scale, "the input matters"
    assert (found - expected).abs().max() < 1e-10 * scale


def assert_equal(state, expected):
    assert list(state) == list(expected)
    for name, tensor in state.items():
        assert tensor.dtype == expected[name].dtype, name
        assert torch.equal(tensor, expected[name]), name


def part(weights, prefix):
    return {n.removeprefix(prefix): w for n, w in weights.items() if n.startswith(prefix)}


@pytest.mark.parametrize("seed", range(4))
def test_the_same_network_is_copied(seed, random_tokens):
    tokens = random_tokens(SPACE.arities, seed)
    weights = trained(SPACE.decode(tokens)).state_dict()
    assert_equal(started(tokens, weights, tokens).state_dict(), weights)


@pytest.mark.parametrize("seed", range(6))
def test_a_narrowing_is_netadapts(seed, random_tokens):
    assert_netadapts(SPACE.decode(random_tokens(SPACE.arities, seed)), random.Random(seed))


@pytest.mark.parametrize("name", ["mobilenet_v1", "mobilenet_v3_small", "mnasnet_a1"])
def test_a_narrowing_of_a_published_network_is_netadapts(name):
    parent = REFERENCES[name](width=0.5, resolution=PX, classes=CLASSES)
    assert_netadapts(parent, random.Random(name))


def assert_netadapts(parent, rng):
    child = parent
    for group in width_groups(parent, include_stem_and_head=True):
        width = rng.randint(max(1, group.width // 3), group.width)
        child = narrowed(child, group, width, seed=parent)
    weights = trained(parent).state_dict()
    found = overlapping_in_a_row(parent, weights, child)
    assert_equal(found, inherit(parent, weights, child, selection="first"))


@pytest.mark.parametrize("op", ["conv", "sepconv", "mbconv3"])
@pytest.mark.parametrize("skip", ["none", "identity", "pool"])
def test_a_wider_network_computes_the_same(op, skip):
    parent, child = (tokens_of(op=op, skip=skip, out=out) for out in (0, 2))
    network = trained(SPACE.decode(parent))
    assert_same_function(network, started(parent, network.state_dict(), child))


def test_a_larger_expansion_computes_the_same():
    parent, child = tokens_of(op="mbconv3"), tokens_of(op="mbconv6")
    network = trained(SPACE.decode(parent))
    wider = started(parent, network.state_dict(), child)
    assert_same_function(network, wider)
    columns = wider.blocks[1].layers[-1][0].weight  # of the projection
    half = columns.shape[1] // 2
    assert columns[:, half:].abs().max() == 0
    assert wider.blocks[1].layers[0][0].weight[half:].abs().max() > 0, "further filters are drawn"


@pytest.mark.parametrize("op", ["conv", "sepconv", "mbconv3"])
def test_a_larger_kernel_computes_the_same(op):
    parent, child = tokens_of(op=op, kernel=3), tokens_of(op=op, kernel=5)
    network = trained(SPACE.decode(parent))
    assert_same_function(network, started(parent, network.state_dict(), child))


def test_a_smaller_kernel_is_the_centre():
    parent, child = tokens_of(kernel=5), tokens_of(kernel=3)
    weights = trained(SPACE.decode(parent)).state_dict()
    found = started(parent, weights, child).state_dict()
    for name, tensor in weights.items():
        expected = tensor[:, :, 1:4, 1:4] if tensor.shape[-2:] == (5, 5) else tensor
        assert torch.equal(found[name], expected), name


def test_a_longer_stage_of_identity_skips_computes_the_same():
    """As does one that is wider, of larger kernels and larger expansions besides."""
    parent = tokens_of(depth=1)
    network = trained(SPACE.decode(parent))
    for child in (tokens_of(depth=2), tokens_of(op="mbconv6", kernel=5, out=2, depth=2)):
        assert_same_function(network, started(parent, network.state_dict(), child))


def test_a_further_layer_is_drawn_and_the_next_stage_stays_in_place():
    parent, child = tokens_of(skip="none"), tokens_of({(2, "depth"): 2}, skip="none")
    weights = trained(SPACE.decode(parent)).state_dict()
    found = started(parent, weights, child, seed=9).state_dict()
    drawn = build(SPACE.decode(child), generator=seeded(9)).state_dict()
    # Stage 0 has one layer, 1 two, 2 three and in the child four.
    assert SPACE.places(child)[5:8] == ((2, 2), (2, 3), (3, 0))
    assert_equal(part(found, "blocks.5."), part(weights, "blocks.5."))
    assert_equal(part(found, "blocks.6."), part(drawn, "blocks.6."))
    for index in range(6, len(SPACE.places(parent))):
        assert_equal(part(found, f"blocks.{index + 1}."), part(weights, f"blocks.{index}."))


def test_a_shorter_stage_drops_its_last_layers():
    parent, child = tokens_of(depth=2), tokens_of({(2, "depth"): 0}, depth=2)
    weights = trained(SPACE.decode(parent)).state_dict()
    found = started(parent, weights, child).state_dict()
    kept = [index for index, (stage, at) in enumerate(SPACE.places(parent)) if stage != 2 or at < 2]
    for index, source in enumerate(kept):
        assert_equal(part(found, f"blocks.{index}."), part(weights, f"blocks.{source}."))


@pytest.mark.parametrize(("op", "other"), [("conv", "sepconv"), ("sepconv", "mbconv3")])
def test_a_block_of_another_op_is_drawn(op, other):
    parent, child = (tokens_of({(1, "op"): value}, skip="none") for value in (op, other))
    weights = trained(SPACE.decode(parent)).state_dict()
    found = started(parent, weights, child, seed=9).state_dict()
    drawn = build(SPACE.decode(child), generator=seeded(9)).state_dict()
    for index, (stage, _) in enumerate(SPACE.places(child)):
        source = drawn if stage == 1 else weights
        assert_equal(part(found, f"blocks.{index}."), part(source, f"blocks.{index}."))
    assert_equal(part(found, "head."), part(weights, "head."))


def test_squeeze_and_excite_on_one_side_alone():
    """The projection comes behind it, and is taken all the same."""
    with_it, without = tokens_of(se=0.25), tokens_of(se=0)
    for parent, child in ((with_it, without), (without, with_it)):
        network = trained(SPACE.decode(parent))
        found = started(parent, network.state_dict(), child)
        for ours, theirs in zip(found.blocks, network.blocks, strict=True):
            for at in (0, 1, -1):
                ours_state, theirs_state = (b.layers[at].state_dict() for b in (ours, theirs))
                assert_equal(ours_state, theirs_state)
    excite = found.blocks[0].layers[2]
    assert excite.squeeze.weight.abs().min() > 0, "drawn"


def test_new_residual_branches_start_at_zero():
    parent, child = tokens_of(out=0, depth=1), tokens_of(out=2, depth=2)
    network = trained(SPACE.decode(parent))
    found = started(parent, network.state_dict(), child)
    old, new = found.blocks[2], found.blocks[3]
    assert SPACE.places(child)[2:5] == ((1, 0), (1, 1), (1, 2))
    assert old.skip == "none"
    assert old.layers[-1][1].weight.abs().min() > 0
    kept = network.blocks[2].layers[-1][1].weight
    assert torch.equal(new.layers[-1][1].weight[: len(kept)], kept)
    assert new.layers[-1][1].weight[len(kept) :].abs().max() == 0, "what a wider branch adds"
    assert found.blocks[4].layers[-1][1].weight.abs().max() == 0, "a further layer"


def test_all_that_is_new_learns():
    """Zero behind zero would never get a gradient."""
    parent = tokens_of(out=0, depth=1, kernel=3)
    child = tokens_of(out=2, depth=2, kernel=5, op="mbconv6")
    network = started(parent, trained(SPACE.decode(parent)).state_dict(), child).train()
    before = {name: weight.detach().clone() for name, weight in network.named_parameters()}
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05)
    for _ in range(3):
        step(network, optimizer)
    for name, weight in network.named_parameters():
        assert not torch.equal(weight, before[name]), name
    for block, (stage, _) in zip(network.blocks, SPACE.places(child), strict=True):
        expansion, depthwise, _, projection = block.layers
        # A few channels may be silent; a zero that cannot learn would leave a quarter and more.
        learnt = [expansion[0].weight, projection[0].weight, projection[1].weight]
        if stage <= 2:  # later maps are smaller than the kernel
            learnt.append(depthwise[0].weight[..., 0])
        for weight in learnt:
            assert (weight == 0).float().mean() < 0.1


def step(network, optimizer):
    labels = torch.arange(8) % CLASSES
    loss = functional.cross_entropy(network(images(8)), labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss


def test_stem_and_head():
    parent = REFERENCES["mobilenet_v3_small"](width=0.5, resolution=PX, classes=CLASSES)
    network = trained(parent)
    weights = network.state_dict()
    head = replace(parent.head, conv=parent.head.conv + 8, hidden=parent.head.hidden + 8)
    child = replace(parent, stem=replace(parent.stem, kernel=5), head=head)
    wider = build(child)
    wider.load_state_dict(overlapping_in_a_row(parent, weights, child))
    assert_same_function(network, wider.eval())

    other = replace(parent, head=replace(parent.head, hidden=0))
    found = overlapping_in_a_row(parent, weights, other, seed=9)
    drawn = build(other, generator=seeded(9)).state_dict()
    assert_equal(part(found, "head."), part(drawn, "head."))
    assert_equal(part(found, "blocks."), part(weights, "blocks."))


def test_the_generator_decides_alone():
    parent, child = tokens_of(out=0), tokens_of(out=2, depth=2, se=0)
    weights = trained(SPACE.decode(parent)).state_dict()
    before = torch.random.get_rng_state()
    one, again, other = (started(parent, weights, child, s).state_dict() for s in (1, 1, 2))
    assert_equal(one, again)
    assert any(not torch.equal(one[name], other[name]) for name in one)
    assert torch.equal(before, torch.random.get_rng_state()), "the global generator stays"


@pytest.mark.parametrize("child", [tokens_of(), tokens_of(out=2, depth=2)])
def test_nothing_is_shared(child):
    parent = tokens_of()
    weights = trained(SPACE.decode(parent)).state_dict()
    before = {name: tensor.clone() for name, tensor in weights.items()}
    found = overlapping(
        SPACE.decode(parent),
        weights,
        SPACE.decode(child),
        parent_places=SPACE.places(parent),
        child_places=SPACE.places(child),
        generator=seeded(1),
    )
    storages = [t.untyped_storage().data_ptr() for t in (*weights.values(), *found.values())]
    assert len(set(storages)) == len(storages)
    for tensor in found.values():
        assert not tensor.requires_grad
        tensor.fill_(9)
    assert_equal(weights, before)


@pytest.mark.parametrize("seed", range(8))
def test_any_network_of_the_space_can_start_from_any_other(seed, random_tokens):
    parent, child = (random_tokens(SPACE.arities, s) for s in (seed, 100 + seed))
    network = started(parent, trained(SPACE.decode(parent)).state_dict(), child)
    assert all(tensor.isfinite().all() for tensor in network.state_dict().values())
    loss = step(network.train(), torch.optim.SGD(network.parameters(), lr=0.01))
    assert loss.isfinite()
    assert all(tensor.isfinite().all() for tensor in network.state_dict().values())


@pytest.mark.parametrize("seed", range(10))
def test_places_are_those_of_the_layers(seed, random_tokens):
    tokens = random_tokens(SPACE.arities, seed)
    blocks, places = SPACE.decode(tokens).blocks, SPACE.places(tokens)
    out = {i: t for (i, name), t in zip(SPACE.decisions, tokens, strict=True) if name == "out"}
    assert sorted(set(places)) == list(places), "ascending, none twice"
    for block, (stage, position) in zip(blocks, places, strict=True):
        assert block.out == SPACE.blocks[stage].out[out[stage]]
        assert block.stride == (SPACE.blocks[stage].stride if position == 0 else 1)
        assert position == 0 or (stage, position - 1) in places


def test_places_of_wrong_tokens():
    with pytest.raises(InputError, match="takes 42 tokens, got 3"):
        SPACE.places((0, 0, 0))


@pytest.mark.parametrize(
    ("tokens", "others", "expected"),
    [
        ((0, 0), [], None),
        ((0, 0), [(1, 1)], 0),
        ((0, 0, 0), [(0, 0, 5), (1, 1, 0), (0, 1, 1)], 0),
        ((0, 0, 0), [(0, 0, 5), (0, 1, 0), (1, 1, 0)], 1),
        ((0, 0, 0), [(0, 0, 0), (0, 0, 1), (0, 0, 0), (0, 1, 0)], 2),
    ],
)
def test_the_most_similar(tokens, others, expected):
    assert most_similar(tokens, others) == expected


@pytest.mark.parametrize("seed", range(3))
def test_a_source_of_the_space(seed, random_tokens):
    spec = SPACE.decode(random_tokens(SPACE.arities, seed))
    assert SPACE.decode(source_tokens(SPACE, spec, classes=CLASSES)) == spec


def test_a_source_that_does_not_fit():
    spec = SPACE.decode(tokens_of())
    five = replace(spec, head=replace(spec.head, classes=5))
    block = replace(spec.blocks[1], kernel=7)
    foreign = replace(spec, blocks=(spec.blocks[0], block, *spec.blocks[2:]))
    for source, match in [
        (five, "has 5 classes, the search has 10: give one that was trained on the same classes"),
        (foreign, r"not in space mnasnet: .*kernel 7, not one of \[3, 5\]: give one found in"),
        (replace(spec, resolution=64), "resolution is 64, the space has 32: give one"),
    ]:
        with pytest.raises(InputError, match=match) as caught:
            source_tokens(SPACE, source, classes=CLASSES)
        assert "\n" not in str(caught.value)
