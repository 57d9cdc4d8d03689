"""Proposals of shorter stages: the networks, their weights, and the loop that chooses among them."""

from dataclasses import replace

import pytest
import torch

from latency import MeasurementError, open_device
from netadapt import Settings, Widths, depth_groups, memoized, narrowest, propose, width_groups
from netadapt.narrowing.depth import as_deep_as, kept_blocks
from netadapt.narrowing.narrowed import narrowed, resized
from netadapt.serial import shrink
from netadapt.shrink import Shrink
from netadapt.transfer import transfer
from netadapt.widening import widen
from search_spaces import REFERENCES, InputError, count
from search_spaces.network import build

SEED = REFERENCES["mobilenet_v3_small"](resolution=32, classes=2)
"""Its stages: block 0, blocks 1-2, 3-5, 6-7 and 8-10; blocks 1 and 2 have no squeeze-and-excite."""
V2 = REFERENCES["mobilenet_v2"](width=0.35, resolution=32, classes=2)
LARGE = REFERENCES["mobilenet_v3_large"](width=0.35, resolution=32, classes=2)
LATENCY = lambda spec: count(spec).madds / 1e6  # noqa: E731
FULL_MS = LATENCY(SEED)


def stage(spec, name):
    return next(group for group in depth_groups(spec) if group.name == name)


def without(spec, *dropped):
    """The network without some blocks, written down independently."""
    blocks = tuple(block for index, block in enumerate(spec.blocks) if index not in dropped)
    return replace(spec, blocks=blocks)


def test_stages_with_residual_blocks_can_lose_them():
    names = [(group.name, group.width, group.least) for group in depth_groups(V2)]
    # Block 0 is not residual, and so is a stage of its own.
    assert names == [
        ("blocks 1-2 depth", 2, 1),
        ("blocks 3-5 depth", 3, 1),
        ("blocks 6-9 depth", 4, 1),
        ("blocks 10-12 depth", 3, 1),
        ("blocks 13-15 depth", 3, 1),
    ]
    assert list(stage(V2, "blocks 6-9 depth").smaller(Widths(64, 64))) == [1, 2, 3]


def test_the_stage_of_the_stem_may_lose_all_blocks():
    group = stage(LARGE, "stem and block 0 depth")
    assert list(group.smaller(Widths())) == [0]
    assert narrowed(LARGE, group, 0) == without(LARGE, 0)
    with pytest.raises(InputError, match=r"blocks 3-5 depth: width must be in 1\.\.3, got 0"):
        narrowed(LARGE, stage(LARGE, "blocks 3-5 depth"), 0)


@pytest.mark.parametrize(("saved", "depth"), [(1, 3), (1.5, 2), (2.5, 1), (3.5, None)])
def test_as_few_blocks_are_dropped_as_the_limit_allows(saved, depth):
    group = stage(V2, "blocks 6-9 depth")
    asked = []

    def latency(spec):
        asked.append(len(spec.blocks))
        return float(len(spec.blocks))

    limit_ms = len(V2.blocks) - saved
    found = propose(V2, group, group.smaller(Widths()), latency=latency, limit_ms=limit_ms)
    assert (found and found.width) == depth
    fewest = len(V2.blocks) - (3 if depth is None else 4 - depth)
    assert asked == list(range(len(V2.blocks) - 1, fewest - 1, -1))  # one block after another
    if found:
        assert found.name == f"blocks 6-9 depth 4 -> {depth}"
        assert found.spec == without(V2, *range(6 + depth, 10))
        assert found.latency_ms == len(found.spec.blocks)


def test_a_depth_that_cannot_be_measured_is_passed_over():
    group, lost = stage(V2, "blocks 6-9 depth"), []

    def latency(spec):
        if len(spec.blocks) == len(V2.blocks) - 1:
            raise MeasurementError("busy")
        return float(len(spec.blocks))

    found = propose(V2, group, (1, 2, 3), latency=latency, limit_ms=16, on_discard=lost.append)
    assert (found.width, [one.name for one in lost]) == (2, ["blocks 6-9 depth 4 -> 3"])


@pytest.mark.parametrize("selection", ["first", "norm"])
def test_dropping_blocks_that_add_nothing_changes_nothing(selection):
    generator = torch.Generator().manual_seed(0)
    parent = build(LARGE, generator=generator).eval()
    dropped = (0, 5, 13, 14)
    for index in dropped:  # the last batch norm scales what the block adds
        parent.blocks[index].layers[-1][1].weight.data.zero_()
        parent.blocks[index].layers[-1][1].bias.data.zero_()
    spec = without(LARGE, *dropped)
    child = build(spec).eval()
    child.load_state_dict(transfer(LARGE, parent.state_dict(), spec, selection=selection))
    images = torch.randn(2, 3, 32, 32, generator=generator)
    with torch.inference_mode():
        torch.testing.assert_close(child(images), parent(images))


def test_squeezes_follow_the_seeds_blocks_after_a_block_is_dropped():
    """By its index in the shorter network, block 3 would get the rule of another block."""
    odd = replace(  # a ratio of its own, which no published rule gives
        SEED, blocks=(*SEED.blocks[:4], replace(SEED.blocks[4], se=5), *SEED.blocks[5:])
    )
    spec = without(odd, 2)
    group = next(g for g in width_groups(spec) if g.name == "block 3 expansion")
    found = narrowed(spec, group, 96, seed=odd)
    whole = next(g for g in width_groups(odd) if g.name == "block 4 expansion")
    assert found == without(narrowed(odd, whole, 96, seed=odd), 2)
    assert found.blocks[3].se == round(96 * 5 / 240)
    assert [b.se for b in found.blocks[4:]] == [b.se for b in odd.blocks[5:]]


def test_widths_and_depths_may_be_reduced_in_any_order():
    first = narrowed(SEED, next(g for g in width_groups(SEED) if g.name == "block 9 expansion"), 40)
    one = resized(first, stage(first, "blocks 3-5 depth"), 2, seed=SEED)
    shorter = without(SEED, 5)
    group = next(g for g in width_groups(shorter) if g.name == "block 8 expansion")
    assert one == resized(shorter, group, 40, seed=SEED)
    assert kept_blocks(SEED, one) == (0, 1, 2, 3, 4, 6, 7, 8, 9, 10)
    assert as_deep_as(SEED, one) == shorter


def test_narrowest_network_with_depth():
    small = narrowest(LARGE, Widths(8, 8), depth=True)
    assert len(small.blocks) == len(LARGE.blocks) - 1 - sum(
        group.width - 1 for group in depth_groups(LARGE)[1:]
    )
    assert all(block.out == 8 for block in small.blocks)
    assert not depth_groups(small)


def loop(**changes):
    settings = Settings(**{"target_ms": 0.8 * FULL_MS, "proposals": "widths+depth"} | changes)
    return Shrink(SEED, settings, accuracy=0.8, latency=LATENCY)


def test_the_loop_drops_blocks_where_that_is_clearly_better():
    """With a fake accuracy: narrower widths cost 10 points each, a dropped block nothing."""

    def tune(spec, weights):
        build(spec).load_state_dict(weights)
        pairs = zip(width_groups(as_deep_as(SEED, spec)), width_groups(spec), strict=True)
        lost = sum(narrow.width < whole.width for whole, narrow in pairs)
        return 0.8 - 0.1 * lost, weights

    changed = loop(delta=0.05, tolerance=1.0)
    *_, (state, weights) = shrink(changed, build(SEED).state_dict(), tune)
    assert changed.reached
    assert state.accuracy == 0.8
    assert len(state.spec.blocks) < len(SEED.blocks)
    assert state.spec == as_deep_as(SEED, state.spec)
    build(state.spec).load_state_dict(weights)
    plain = loop(delta=0.05, tolerance=1.0, proposals="widths")
    assert all("depth" not in proposal.name for proposal in plain.next_step().proposals)


def test_a_step_has_the_proposals_of_both_kinds():
    both, widths = (
        {p.name for p in loop(delta=0.02, proposals=kind).next_step().proposals}
        for kind in ("widths+depth", "widths")
    )
    assert widths < both
    assert all(" depth " in name for name in both - widths)
    able = {
        group.name
        for group in depth_groups(SEED)
        if LATENCY(narrowed(SEED, group, group.least)) <= 0.98 * FULL_MS
    }
    assert {name.partition(" depth")[0] + " depth" for name in both - widths} == able


def test_a_shorter_network_is_widened_in_width_alone():
    spec = without(SEED, 4, 5)
    group = next(g for g in width_groups(spec) if g.name == "blocks 6-8 bottleneck")
    spec = narrowed(spec, group, 8, seed=SEED)
    target_ms = LATENCY(without(SEED, 4, 5))
    settings = Settings(target_ms=target_ms, tolerance=0.1, proposals="widths+depth")
    found = widen(spec, settings, seed=SEED, latency=memoized(LATENCY))
    assert found
    assert {p.group.name for p in found} == {"blocks 6-8 bottleneck"}
    for proposal in found:
        assert len(proposal.spec.blocks) == len(spec.blocks)
        assert proposal.spec == resized(without(SEED, 4, 5), group, proposal.width, seed=SEED)


def test_unmeasured_counts_depths_too():
    def latency(spec):
        if spec != SEED:
            raise MeasurementError("busy")
        return FULL_MS

    settings = Settings(target_ms=0.8 * FULL_MS, proposals="widths+depth")
    current = Shrink(SEED, settings, accuracy=0.8, latency=latency)
    step = current.next_step()
    assert {discarded.group for discarded in step.discarded} >= set(depth_groups(SEED))
    assert current.unmeasured(step)


def test_depth_alone_is_not_offered():
    with pytest.raises(InputError, match=r"proposals must be widths or widths\+depth, got 'depth'"):
        Settings(target_ms=1.0, proposals="depth")


def test_a_source_measures_shorter_networks():
    current = Shrink(
        SEED,
        Settings(target_ms=0.8 * FULL_MS, proposals="widths+depth"),
        accuracy=0.8,
        latency=open_device("madds:1"),
    )
    assert any("depth" in proposal.name for proposal in current.next_step().proposals)
