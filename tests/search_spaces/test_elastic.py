"""The sub-networks of a parent as a space."""

from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from netadapt.uniform import scaled
from search_spaces import REFERENCES, count
from search_spaces.errors import InputError
from search_spaces.spaces.elastic import ElasticSpace

NAMES = (
    "mobilenet_v1", "mobilenet_v2", "mobilenet_v3_large", "mobilenet_v3_small", "mnasnet_a1",
)  # fmt: skip


def space_of(name: str, **more) -> ElasticSpace:
    return ElasticSpace(
        name=name, parent=REFERENCES[name](), resolutions=(96, 128, 224), heads=(0.5, 1.0), **more
    )


SPACES = {name: space_of(name) for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
@settings(max_examples=30, deadline=None)
def test_tokens_and_networks_go_both_ways(name, data):
    space = SPACES[name]
    tokens = tuple(data.draw(st.integers(0, arity - 1)) for arity in space.arities)
    spec = space.decode(tokens)
    canonical = space.encode(spec)
    assert space.decode(canonical) == spec
    assert space.encode(space.decode(canonical)) == canonical <= tokens
    assert count(spec).madds <= count(replace(space.parent, resolution=224)).madds


@pytest.mark.parametrize("name", NAMES)
def test_the_parent_is_in_it_at_every_resolution(name):
    space = SPACES[name]
    for side in space.resolutions:
        whole = replace(space.parent, resolution=side)
        assert space.decode(space.encode(whole)) == whole


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("multiplier", [0.5, 0.625, 0.75, 0.875, 1.0])
def test_uniform_widths_are_the_papers(name, multiplier):
    space = SPACES[name]
    wanted = replace(scaled(space.parent, multiplier), resolution=96)
    assert space.decode(space.uniform(multiplier, 96)) == wanted


def test_stages_of_mobilenet_v2_are_the_papers():
    space = SPACES["mobilenet_v2"]
    assert [len(stage.blocks) for stage in space.stages] == [0, 1, 2, 3, 4, 3, 3, 1]
    assert sum(one.field == "depth" for one in space.decisions) == 5  # of 2, 3, 4, 3 and 3 layers


def test_a_first_residual_block_belongs_to_the_stem():
    space = SPACES["mobilenet_v3_large"]
    stem = space.stages[0]
    assert (stem.blocks, stem.required) == (space.parent.blocks[:1], 0)
    tokens = list(space.encode(space.parent))
    at = next(i for i, one in enumerate(space.decisions) if one[:2] == (0, "depth"))
    tokens[at] = 0
    without = space.decode(tuple(tokens))
    assert without.blocks == space.parent.blocks[1:]


def test_squeezes_follow_the_parents_rule_or_are_dropped():
    space = SPACES["mobilenet_v3_small"]
    halves = space.decode(space.uniform(0.5, 96))
    assert halves == replace(scaled(space.parent, 0.5), resolution=96)
    tokens = list(space.encode(space.parent))
    for index, one in enumerate(space.decisions):
        if one.field == "squeeze":
            tokens[index] = 0
    spec = space.decode(tuple(tokens))
    assert {(block.se, block.gate) for block in spec.blocks} == {(0, "none")}
    assert not any(
        one.field == "squeeze" for one in space_of("mobilenet_v3_small", squeezes=False).decisions
    )


def test_kernels_shrink_to_the_given_sides():
    space = SPACES["mobilenet_v3_large"]
    kernels = {one.choices for one in space.decisions if one.field == "kernel"}
    assert kernels == {(3, 5)}
    assert {block.kernel for block in space.decode((0,) * len(space.arities)).blocks} == {3}


LARGER = {name: space_of(name, kernels=(3, 5, 7)) for name in ("mobilenet_v2", "mnasnet_small")}


@pytest.mark.parametrize("name", list(LARGER))
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_tokens_and_networks_with_larger_kernels_go_both_ways(name, data):
    space = LARGER[name]
    tokens = tuple(data.draw(st.integers(0, arity - 1)) for arity in space.arities)
    spec = space.decode(tokens)
    canonical = space.encode(spec)
    assert space.decode(canonical) == spec
    assert space.encode(space.decode(canonical)) == canonical <= tokens
    assert {block.kernel for block in spec.blocks} <= {3, 5, 7}


def stage_kernels(space, stage, choice):
    """The sides of a stage's kernels for a choice, in the parent otherwise."""
    tokens = list(space.encode(replace(space.parent, resolution=space.resolutions[0])))
    at = next(i for i, one in enumerate(space.decisions) if one[:2] == (stage, "kernel"))
    tokens[at] = space.decisions[at].choices.index(choice)
    blocks = space.decode(tuple(tokens)).blocks
    before = sum(len(one.blocks) for one in space.stages[:stage])
    return [block.kernel for block in blocks[before : before + len(space.stages[stage].blocks)]]


def test_a_larger_kernel_goes_to_all_blocks_of_a_stage_and_a_smaller_one_to_larger_blocks():
    space = LARGER["mnasnet_small"]
    mixed = next(
        index
        for index, stage in enumerate(space.stages)
        if {block.kernel for block in stage.blocks} == {3, 5}
    )
    own = [block.kernel for block in space.stages[mixed].blocks]
    assert stage_kernels(space, mixed, 3) == [3] * len(own)
    assert stage_kernels(space, mixed, 5) == own
    assert stage_kernels(space, mixed, 7) == [7] * len(own)


def test_the_parent_is_the_same_whatever_kernels_are_to_choose_from():
    plain, larger = SPACES["mobilenet_v2"], LARGER["mobilenet_v2"]
    assert plain.grows is False
    assert larger.grows is True
    assert {one.choices for one in larger.decisions if one.field == "kernel"} == {(3, 5, 7)}
    assert not any(one.field == "kernel" for one in plain.decisions)
    for multiplier, side in product((0.5, 0.75, 1.0), plain.resolutions):
        theirs, ours = (one.decode(one.uniform(multiplier, side)) for one in (plain, larger))
        assert ours == theirs
    assert larger.decode(larger.uniform(1.0, 224)) == larger.parent


def test_pointwise_stages_and_stages_without_blocks_have_no_kernel_to_choose():
    spec = REFERENCES["mobilenet_v2"]()
    blocks = (replace(spec.blocks[0], kernel=1), *spec.blocks[1:])
    space = ElasticSpace(
        name="x", parent=replace(spec, blocks=blocks), resolutions=(96,), kernels=(3, 5)
    )
    searched = [one.stage for one in space.decisions if one.field == "kernel"]
    assert searched == [2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"resolutions": (100,)}, "resolution 100 is not a multiple of the network's stride, 32"),
        ({"resolutions": (16,)}, r"give 32(?! or)"),
        ({"resolutions": (96, 96)}, "must be distinct"),
        ({"widths": (0.5,)}, "must have 1, the parent's own"),
        ({"widths": (0.0, 1.0)}, "greater than 0"),
        ({"expansions": (1.0, 1.5)}, "less than or equal to 1"),
        ({"kernels": (4,)}, "must be odd"),
        (
            {
                "resolutions": (96,),
                "widths": (1.0,),
                "expansions": (1.0,),
                "parent": REFERENCES["mobilenet_v1"](),
            },
            "nothing to search",
        ),
    ],
)
def test_a_space_that_makes_no_sense_is_refused(change, said):
    given = {"name": "x", "parent": REFERENCES["mobilenet_v2"](), "resolutions": (96,)} | change
    with pytest.raises(ValidationError, match=said):
        ElasticSpace(**given)


def test_a_network_that_is_not_in_it_is_named():
    space = SPACES["mobilenet_v2"]
    whole = space.parent
    for spec, said in (
        (replace(whole, resolution=160), "resolution is not one of"),
        (REFERENCES["mobilenet_v1"](), "stages, the parent 8"),
        (replace(whole, bn_eps=0.01), "what is not searched"),
        (replace(whole, stem=replace(whole.stem, act="relu")), "what is not searched"),
        (
            replace(whole, blocks=(replace(whole.blocks[0], out=24), *whole.blocks[1:])),
            "stage 1 width",
        ),
    ):
        with pytest.raises(InputError, match=said):
            space.encode(spec)
    with pytest.raises(InputError, match="tokens, got 1"):
        space.decode((0,))
    with pytest.raises(InputError, match=r"resolution: token must be in 0\.\.2, got 3"):
        space.decode((3, *space.encode(whole)[1:]))
    with pytest.raises(InputError, match=r"has no width 0\.3"):
        space.uniform(0.3, 96)


def test_a_uniform_width_that_is_no_choice_is_refused():
    fixed = {"resolutions": (96,), "widths": (1.0,), "expansions": (0.5, 1.0)}
    space = ElasticSpace(name="x", parent=REFERENCES["mobilenet_v2"](), **fixed)
    assert space.decode(space.uniform(1.0, 96)).resolution == 96
    with pytest.raises(InputError, match=r"has no resolution 224, but \[96\]"):
        space.uniform(1.0, 224)
    with pytest.raises(InputError, match=r"has no width 0\.5, but \[1\.0\]"):
        space.uniform(0.5, 96)
