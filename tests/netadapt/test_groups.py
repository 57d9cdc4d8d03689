"""Width groups, and networks with one group narrowed."""

from dataclasses import replace

import pytest

from netadapt import Group, narrowed, width_groups
from netadapt.narrowing.check import check_narrowing
from search_spaces import REFERENCES, InputError, load_space
from search_spaces.squeeze_rules import squeeze_rule
from search_spaces.widths import make_divisible

NAMES = sorted(REFERENCES)


def bottlenecks(spec, **options):
    return [
        (group.stem, group.blocks, group.width)
        for group in width_groups(spec, **options)
        if group.kind == "bottleneck"
    ]


def by_name(spec, name):
    return next(
        group for group in width_groups(spec, include_stem_and_head=True) if group.name == name
    )


def sample_networks(random_tokens, count):
    space = load_space("mnasnet", resolution=32, classes=4)
    return [space.decode(random_tokens(space.arities, seed)) for seed in range(count)]


def test_residual_ties_of_mobilenet_v3_large():
    assert bottlenecks(REFERENCES["mobilenet_v3_large"]()) == [
        (True, (0,), 16),
        (False, (1, 2), 24),
        (False, (3, 4, 5), 40),
        (False, (6, 7, 8, 9), 80),
        (False, (10, 11), 112),
        (False, (12, 13, 14), 160),
    ]


def test_without_skips_every_output_is_a_group():
    spec = REFERENCES["mobilenet_v1"]()
    groups = width_groups(spec)
    assert [group.blocks for group in groups] == [(index,) for index in range(13)]
    assert {group.kind for group in groups} == {"bottleneck"}


def test_equal_widths_without_a_residual_are_not_tied():
    large = REFERENCES["mobilenet_v3_large"]()
    cut = replace(large.blocks[7], skip="none")
    spec = replace(large, blocks=(*large.blocks[:7], cut, *large.blocks[8:]))
    assert (False, (6,), 80) in bottlenecks(spec)
    assert (False, (7, 8, 9), 80) in bottlenecks(spec)


def test_a_strided_pool_skip_ties_too():
    large = REFERENCES["mobilenet_v3_large"]()
    pooled = replace(large.blocks[1], out=16, skip="pool")
    spec = replace(large, blocks=(large.blocks[0], pooled))
    assert bottlenecks(spec) == [(True, (0, 1), 16)]


def test_stem_and_head_are_groups_on_request():
    spec = REFERENCES["mobilenet_v2"]()
    extra = [
        group
        for group in width_groups(spec, include_stem_and_head=True)
        if group not in width_groups(spec)
    ]
    assert [(group.name, group.width) for group in extra] == [
        ("stem bottleneck", 32),
        ("head conv", 1280),
    ]
    small = REFERENCES["mobilenet_v3_small"]()
    assert [group.name for group in width_groups(small, include_stem_and_head=True)][-2:] == [
        "head conv",
        "head hidden",
    ]


@pytest.mark.parametrize("name", NAMES)
def test_groups_narrow_independently(name):
    """The spec stays valid (residuals need equal widths), and no other group changes."""
    spec = REFERENCES[name]()
    groups = width_groups(spec, include_stem_and_head=True)
    for index, group in enumerate(groups):
        child = narrowed(spec, group, 8)
        check_narrowing(spec, child)
        expected = [replace(g, width=8) if i == index else g for i, g in enumerate(groups)]
        assert width_groups(child, include_stem_and_head=True) == expected


def test_groups_of_random_networks_narrow(random_tokens):
    kinds = set()
    for spec in sample_networks(random_tokens, 25):
        for group in width_groups(spec, include_stem_and_head=True):
            child = narrowed(spec, group, 8)
            check_narrowing(spec, child)
            assert child != spec
            kinds |= {(group.kind, spec.blocks[i].op) for i in group.blocks}
    assert kinds == {
        ("expansion", "mbconv"),
        ("bottleneck", "mbconv"),
        ("bottleneck", "sepconv"),
        ("bottleneck", "conv"),
    }


@pytest.mark.parametrize("name", NAMES)
def test_current_widths_give_the_same_network(name):
    spec = REFERENCES[name]()
    for group in width_groups(spec, include_stem_and_head=True):
        assert narrowed(spec, group, group.width) == spec


def test_mobilenet_v3_squeeze_follows_the_expansion():
    spec = REFERENCES["mobilenet_v3_large"]()
    block = narrowed(spec, by_name(spec, "block 4 expansion"), 72).blocks[4]
    assert (block.expand, block.se) == (72, 24)
    untouched = narrowed(spec, by_name(spec, "blocks 3-5 bottleneck"), 24)
    assert [b.se for b in untouched.blocks] == [b.se for b in spec.blocks]


def test_mnasnet_squeeze_follows_the_input():
    spec = REFERENCES["mnasnet_a1"]()
    after = narrowed(spec, by_name(spec, "blocks 3-5 bottleneck"), 24)
    assert [b.se for b in spec.blocks[3:6]] == [6, 10, 10]
    assert [b.se for b in after.blocks[3:6]] == [6, 6, 6]
    same = narrowed(spec, by_name(spec, "block 4 expansion"), 24)
    assert same.blocks[4].se == 10


def test_the_squeeze_of_a_separable_convolution_follows_its_input():
    spec = REFERENCES["mobilenet_v3_small"](width=2.0)
    assert (spec.blocks[0].op, spec.blocks[0].se) == ("sepconv", 8)
    widened = replace(spec.blocks[0], se=32)  # a ratio of 1 to its 32 channels
    spec = replace(spec, blocks=(widened, *spec.blocks[1:]))
    after = narrowed(spec, by_name(spec, "stem bottleneck"), 24)
    assert after.blocks[0].se == 24


def test_the_gate_decides_where_both_rules_fit():
    block = replace(REFERENCES["mobilenet_v3_large"]().blocks[3], expand=32, se=8)
    assert squeeze_rule(block, 32)(16, 32) == 8  # of the expansion
    assert squeeze_rule(replace(block, gate="sigmoid"), 32)(16, 32) == 4  # of the input


def test_a_custom_squeeze_ratio_does_not_drift_over_steps():
    large = REFERENCES["mobilenet_v3_large"]()
    odd = replace(large.blocks[4], se=50)  # of 120
    seed = replace(large, blocks=(*large.blocks[:4], odd, *large.blocks[5:]))
    at_once = narrowed(seed, by_name(seed, "block 4 expansion"), 40, seed=seed)
    spec = seed
    for width in range(112, 32, -8):
        spec = narrowed(spec, by_name(spec, "block 4 expansion"), width, seed=seed)
    assert spec == at_once
    assert spec.blocks[4].se == round(40 * 50 / 120)


def test_a_narrower_block_never_gets_a_wider_squeeze():
    squeezes = [make_divisible(width // 4) for width in range(1, 2000)]
    assert squeezes == sorted(squeezes)


@pytest.mark.parametrize("width", [0, -8, 17])
def test_a_wider_width_is_an_error(width):
    spec = REFERENCES["mobilenet_v3_large"]()
    with pytest.raises(InputError, match=rf"stem and block 0 bottleneck: .*got {width}"):
        narrowed(spec, by_name(spec, "stem and block 0 bottleneck"), width)


def test_group_names():
    assert Group("bottleneck", (), 32, stem=True).name == "stem bottleneck"
    assert Group("head hidden", (), 1280).name == "head hidden"
