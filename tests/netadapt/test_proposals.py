"""Proposals, the search for the widest width, and the reduction schedule."""

import math
import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latency import DeviceLostError, MeasurementError
from latency.estimates.madds import MaddsEstimate
from netadapt import (
    Proposal,
    Schedule,
    Step,
    Widths,
    first_step,
    memoized,
    narrowed,
    propose,
    propose_all,
    width_groups,
)
from netadapt.widest import LOOK_ABOVE, widest_satisfying
from search_spaces import REFERENCES, InputError

CURRENT = 968


def steps(rng):
    """A rising step function of width with random steps."""
    levels, level = [], 0.0
    for _ in range(CURRENT // 8 + 1):
        level += rng.choice([0.0, 0.0, 0.0, rng.random()])
        levels.append(level)
    return lambda width: levels[width // 8]


def bumpy(rng):
    """The same with noise, and bumps where a width does not fill the vectors."""
    smooth = steps(rng)
    noise = [rng.gauss(0, 0.3) for _ in range(CURRENT // 8 + 1)]
    return lambda width: smooth(width) + (0 if width % 32 == 0 else 0.8) + noise[width // 8]


def searched(latency, limit, widths):
    """Return the result of the search, and every width tested with its outcome."""
    tested = {}

    def satisfies(width):
        assert width not in tested, "no width is tested twice"
        tested[width] = latency(width) <= limit
        return tested[width]

    return widest_satisfying(widths, satisfies), tested


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32))
def test_search_equals_brute_force_for_monotone_latency(seed):
    rng = random.Random(seed)
    latency = steps(rng)
    widths = Widths().below(rng.randrange(8, CURRENT))
    limit = rng.uniform(-0.5, latency(CURRENT))
    found, _ = searched(latency, limit, widths)
    assert found == max((w for w in widths if latency(w) <= limit), default=None)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32))
def test_search_guarantees_for_latency_with_bumps(seed):
    rng = random.Random(seed)
    latency = bumpy(rng)
    widths = Widths().below(rng.randrange(16, CURRENT))
    limit = rng.uniform(0.5, latency(CURRENT))
    found, tested = searched(latency, limit, widths)
    if found is None:
        assert tested == {widths[0]: False}
        return
    assert latency(found) <= limit
    assert not any(ok for width, ok in tested.items() if width > found)
    assert len(tested) <= 1 + math.ceil(math.log2(len(widths))) + LOOK_ABOVE


def test_a_faster_multiple_of_32_above_the_edge_is_found():
    def latency(width):
        return width if width % 32 else width - 30

    found, _ = searched(latency, 100, range(8, 960, 8))
    assert found == 128 == max(w for w in range(8, 960, 8) if latency(w) <= 100)


def test_search_returns_the_widest_of_two_bumps():
    found, _ = searched(lambda width: width not in (8, 16, 32, 48), 0, range(8, 56, 8))
    assert found == 48


def test_search_without_widths():
    assert widest_satisfying(range(8, 8, 8), lambda width: True) is None


def test_a_group_that_is_too_slow_costs_one_measurement():
    assert searched(lambda width: width, 7, range(8, 960, 8)) == (None, {8: False})


def test_proposals_are_the_widest_within_the_limit():
    spec = REFERENCES["mobilenet_v3_small"](resolution=96)
    latency = memoized(MaddsEstimate(1.0))
    limit = 0.95 * latency(spec)
    proposals = propose_all(spec, latency=latency, limit_ms=limit)
    made = {proposal.group: proposal for proposal in proposals}
    assert 3 < len(made) < len(width_groups(spec))
    for group in width_groups(spec):
        fits = [
            w for w in Widths().below(group.width) if latency(narrowed(spec, group, w)) <= limit
        ]
        if not fits:
            assert group not in made
            continue
        child = narrowed(spec, group, max(fits))
        assert made[group] == Proposal(group, max(fits), child, latency(child))


def test_widths_respect_divisor_and_floor():
    spec = REFERENCES["mobilenet_v3_small"](resolution=96)
    latency = MaddsEstimate(1.0).latency
    proposals = propose_all(
        spec,
        latency=lambda s: latency(s).median_ms,
        limit_ms=0.98 * latency(spec).median_ms,
        widths=Widths(divisor=16, floor=40),
    )
    assert proposals
    assert all(p.width % 16 == 0 and p.width >= 48 for p in proposals)


def test_propose_all_for_given_groups():
    spec = REFERENCES["mobilenet_v2"](resolution=96)
    latency = memoized(MaddsEstimate(1.0))
    head = [
        group
        for group in width_groups(spec, include_stem_and_head=True)
        if group.kind == "head conv"
    ]
    (proposal,) = propose_all(spec, latency=latency, limit_ms=0.99 * latency(spec), groups=head)
    assert proposal.name.startswith("head conv 1280 -> ")
    assert proposal.spec == replace(spec, head=replace(spec.head, conv=proposal.width))


def test_the_seed_sets_the_squeeze_of_proposals():
    seed = REFERENCES["mobilenet_v3_small"](resolution=96)
    plain = replace(seed, blocks=tuple(replace(b, se=b.se and b.se + 1) for b in seed.blocks))
    group = next(group for group in width_groups(seed) if group.name == "block 9 expansion")
    latency = memoized(MaddsEstimate(1.0))
    widths, limit_ms = Widths().below(group.width), 0.97 * latency(plain)
    found = propose(plain, group, widths, latency=latency, limit_ms=limit_ms, seed=seed)
    assert found is not None
    assert found.spec.blocks[9].se % 8 == 0


def test_each_network_is_measured_once():
    asked = []

    class Counting(MaddsEstimate):
        def latency(self, spec):
            asked.append(spec.fingerprint)
            return super().latency(spec)

    spec = REFERENCES["mobilenet_v3_small"](resolution=96)
    latency = memoized(Counting(1.0))
    for fraction in (0.9, 0.95):
        propose_all(spec, latency=latency, limit_ms=fraction * latency(spec))
    assert len(asked) == len(set(asked))


@pytest.mark.parametrize("options", [{"divisor": 0}, {"floor": 0}, {"divisor": -8}])
def test_bad_widths(options):
    ((name, value),) = options.items()
    with pytest.raises(InputError, match=f"{name} must be at least 1, got {value}"):
        Widths(**options)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"delta": 0.0}, "delta must be between 0 and 1, got 0"),
        ({"delta": 1.0}, "got 1: it is a fraction"),
        ({"delta": math.nan}, "got nan"),
        ({"decay": 0.0}, "decay must be above 0"),
        ({"decay": 1.1}, "got 1.1"),
        ({"halvings": -1}, "halvings must be at least 0, got -1"),
        ({"seed_ms": 0.0}, "seed_ms must be above 0"),
    ],
)
def test_bad_schedules(options, match):
    with pytest.raises(InputError, match=match):
        Schedule(**{"seed_ms": 80.0} | options)


def test_delta_is_a_fraction_of_the_seeds_latency_and_decays():
    constant = Schedule(80.0, halvings=0)
    assert constant.deltas_ms(0) == constant.deltas_ms(7) == (8.0,)
    decaying = Schedule(100.0, delta=0.1, decay=0.5, halvings=1)
    assert decaying.deltas_ms(2) == (2.5, 1.25)


def test_a_step_halves_delta_until_a_group_can_save_it():
    limits = []
    proposal = object()

    def propose_at(limit_ms):
        limits.append(limit_ms)
        return [proposal] if limit_ms >= 57 else []

    step = first_step(propose_at, current_ms=60.0, deltas_ms=(8.0, 4.0, 2.0, 1.0))
    assert step == Step(2.0, (proposal,))
    assert limits == [52.0, 56.0, 58.0]


def test_the_last_step_stops_at_the_target():
    step = first_step(lambda limit_ms: [limit_ms], current_ms=60, deltas_ms=(8,), target_ms=57)
    assert step == Step(3, (57,))


def test_steps_reach_the_target():
    """Choose the proposal with the smallest loss of width, in place of accuracy."""
    seed = spec = REFERENCES["mobilenet_v3_small"](resolution=96)
    latency = memoized(MaddsEstimate(1.0))
    schedule = Schedule(latency(seed), delta=0.05)
    target_ms = 0.7 * latency(seed)
    taken = []
    while latency(spec) > target_ms:
        step = first_step(
            lambda ms, spec=spec: propose_all(spec, latency=latency, limit_ms=ms, seed=seed),
            current_ms=latency(spec),
            deltas_ms=schedule.deltas_ms(len(taken)),
            target_ms=target_ms,
        )
        best = max(step.proposals, key=lambda p: p.width / p.group.width)
        assert latency(spec) - best.latency_ms >= step.delta_ms - 1e-9
        spec = best.spec
        taken.append(best.name)
    assert len(taken) <= 6
    assert 0.6 * latency(seed) < latency(spec) <= target_ms


class Refusing:
    """Cannot measure networks whose last expansion has one of the given widths."""

    def __init__(self, *refused, error=MeasurementError):
        self.refused, self.error, self.measured = refused, error, []

    def __call__(self, spec):
        self.measured.append(spec.fingerprint)
        if spec.blocks[-1].expand in self.refused:
            raise self.error("too many channels")
        return MaddsEstimate(1.0).latency(spec).median_ms


def last_expansion(latency, fraction=0.97, **more):
    spec = REFERENCES["mobilenet_v3_small"](resolution=96)
    group = next(g for g in width_groups(spec) if g.name == "block 10 expansion")
    limit = fraction * MaddsEstimate(1.0).latency(spec).median_ms
    widths = Widths().below(group.width)
    return propose(spec, group, widths, latency=latency, limit_ms=limit, **more)


def test_unmeasurable_networks_are_discarded_with_their_reason():
    best = last_expansion(Refusing())
    discarded = []
    next_best = last_expansion(Refusing(best.width), on_discard=discarded.append)
    assert next_best.width < best.width
    (lost,) = discarded
    assert (lost.width, lost.reason) == (best.width, "too many channels")
    assert lost.name == f"block 10 expansion 576 -> {best.width}"
    assert lost.spec == best.spec


def test_a_group_whose_narrowest_cannot_be_measured_proposes_nothing():
    discarded = []
    assert last_expansion(Refusing(8), on_discard=discarded.append) is None
    assert [lost.width for lost in discarded] == [8]


def test_unmeasurable_networks_are_an_error_by_default():
    with pytest.raises(MeasurementError, match="block 10 expansion 576 -> 8: too many channels"):
        last_expansion(Refusing(8))


def test_a_lost_device_is_always_an_error():
    with pytest.raises(DeviceLostError):
        last_expansion(Refusing(8, error=DeviceLostError), on_discard=lambda lost: None)


def test_refusals_are_memoized_but_not_a_lost_device():
    spec = REFERENCES["mobilenet_v3_small"](resolution=96)
    for error, measurements in ((MeasurementError, 1), (DeviceLostError, 2)):
        refusing = Refusing(576, error=error)
        latency = memoized(refusing)
        for _ in range(2):
            with pytest.raises(error):
                latency(spec)
        assert len(refusing.measured) == measurements
