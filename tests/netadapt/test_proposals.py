"""The search for the widest width that saves enough, and how much is enough."""

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
    narrowed,
    propose,
    propose_all,
    remembered,
    width_groups,
)
from netadapt.widest import LOOK_ABOVE, widest_satisfying
from search_spaces import REFERENCES, InputError

CURRENT = 968


def steps(rng):
    """A rising step function of width, its steps of random length and height."""
    levels, level = [], 0.0
    for _ in range(CURRENT // 8 + 1):
        level += rng.choice([0.0, 0.0, 0.0, rng.random()])
        levels.append(level)
    return lambda width: levels[width // 8]


def bumpy(rng):
    """The same with bumps, as of vectors that some widths fill and others do not, and noise."""
    smooth = steps(rng)
    noise = [rng.gauss(0, 0.3) for _ in range(CURRENT // 8 + 1)]
    return lambda width: smooth(width) + (0 if width % 32 == 0 else 0.8) + noise[width // 8]


def searched(latency, limit, widths):
    """What the search answers, and every width that it asked about with the answer."""
    asked = {}

    def satisfies(width):
        assert width not in asked, "no width is asked twice"
        asked[width] = latency(width) <= limit
        return asked[width]

    return widest_satisfying(widths, satisfies), asked


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32))
def test_the_search_equals_brute_force_where_latency_is_monotone(seed):
    rng = random.Random(seed)
    latency = steps(rng)
    widths = Widths().below(rng.randrange(8, CURRENT))
    limit = rng.uniform(-0.5, latency(CURRENT))
    found, _ = searched(latency, limit, widths)
    assert found == max((w for w in widths if latency(w) <= limit), default=None)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32))
def test_what_is_guaranteed_where_it_is_not(seed):
    rng = random.Random(seed)
    latency = bumpy(rng)
    widths = Widths().below(rng.randrange(16, CURRENT))
    limit = rng.uniform(0.5, latency(CURRENT))
    found, asked = searched(latency, limit, widths)
    if found is None:
        assert asked == {widths[0]: False}
        return
    assert latency(found) <= limit
    assert not any(ok for width, ok in asked.items() if width > found)
    assert len(asked) <= 1 + math.ceil(math.log2(len(widths))) + LOOK_ABOVE


def test_a_faster_multiple_of_32_above_the_edge_is_found():
    def latency(width):
        return width if width % 32 else width - 30

    found, _ = searched(latency, 100, range(8, 960, 8))
    assert found == 128 == max(w for w in range(8, 960, 8) if latency(w) <= 100)


def test_of_two_bumps_above_the_edge_the_wider_is_taken():
    found, _ = searched(lambda width: width not in (8, 16, 32, 48), 0, range(8, 56, 8))
    assert found == 48


def test_no_width_to_choose_from():
    assert widest_satisfying(range(8, 8, 8), lambda width: True) is None


def test_one_that_cannot_give_enough_costs_one_question():
    assert searched(lambda width: width, 7, range(8, 960, 8)) == (None, {8: False})


def test_proposals_are_the_widest_that_meet_the_limit():
    spec = REFERENCES["mobilenet_v3_small"](resolution=96)
    latency = remembered(MaddsEstimate(1.0))
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


def test_widths_keep_to_divisor_and_floor():
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


def test_only_the_groups_asked_for_propose():
    spec = REFERENCES["mobilenet_v2"](resolution=96)
    latency = remembered(MaddsEstimate(1.0))
    head = [group for group in width_groups(spec, ends=True) if group.kind == "head conv"]
    (proposal,) = propose_all(spec, latency=latency, limit_ms=0.99 * latency(spec), groups=head)
    assert proposal.name.startswith("head conv 1280 -> ")
    assert proposal.spec == replace(spec, head=replace(spec.head, conv=proposal.width))


def test_the_seed_sets_the_squeeze_of_proposals():
    seed = REFERENCES["mobilenet_v3_small"](resolution=96)
    plain = replace(seed, blocks=tuple(replace(b, se=b.se and b.se + 1) for b in seed.blocks))
    group = next(group for group in width_groups(seed) if group.name == "block 9 expansion")
    latency = remembered(MaddsEstimate(1.0))
    found = propose(plain, group, latency=latency, limit_ms=0.97 * latency(plain), seed=seed)
    assert found is not None
    assert found.spec.blocks[9].se % 8 == 0


def test_each_network_is_asked_for_once():
    asked = []

    class Counting(MaddsEstimate):
        def latency(self, spec):
            asked.append(spec.fingerprint)
            return super().latency(spec)

    spec = REFERENCES["mobilenet_v3_small"](resolution=96)
    latency = remembered(Counting(1.0))
    for share in (0.9, 0.95):
        propose_all(spec, latency=latency, limit_ms=share * latency(spec))
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
        ({"delta": 1.0}, "got 1: a part"),
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


def test_delta_is_a_part_of_the_seeds_latency_and_decays():
    constant = Schedule(80.0, halvings=0)
    assert constant.deltas_ms(0) == constant.deltas_ms(7) == (8.0,)
    decaying = Schedule(100.0, delta=0.1, decay=0.5, halvings=1)
    assert decaying.deltas_ms(2) == (2.5, 1.25)


def test_a_step_halves_delta_until_a_group_can_give_it():
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


def test_it_shrinks_to_the_target():
    """All of it together, the proposal with the least loss of width chosen in place of accuracy."""
    seed = spec = REFERENCES["mobilenet_v3_small"](resolution=96)
    latency = remembered(MaddsEstimate(1.0))
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


class Moody:
    """Cannot measure networks whose last block expands to one of some widths."""

    def __init__(self, *refused, error=MeasurementError):
        self.refused, self.error, self.asked = refused, error, []

    def __call__(self, spec):
        self.asked.append(spec.fingerprint)
        if spec.blocks[-1].expand in self.refused:
            raise self.error("too many channels")
        return MaddsEstimate(1.0).latency(spec).median_ms


def last_expansion(latency, share=0.97, **more):
    spec = REFERENCES["mobilenet_v3_small"](resolution=96)
    group = next(g for g in width_groups(spec) if g.name == "block 10 expansion")
    limit = share * MaddsEstimate(1.0).latency(spec).median_ms
    return propose(spec, group, latency=latency, limit_ms=limit, **more)


def test_what_cannot_be_measured_is_discarded_with_its_reason():
    best = last_expansion(Moody())
    discarded = []
    next_best = last_expansion(Moody(best.width), discard=discarded.append)
    assert next_best.width < best.width
    (lost,) = discarded
    assert (lost.width, lost.reason) == (best.width, "too many channels")
    assert lost.name == f"block 10 expansion 576 -> {best.width}"
    assert lost.spec == best.spec


def test_a_group_whose_narrowest_cannot_be_measured_proposes_nothing():
    discarded = []
    assert last_expansion(Moody(8), discard=discarded.append) is None
    assert [lost.width for lost in discarded] == [8]


def test_by_default_what_cannot_be_measured_is_an_error():
    with pytest.raises(MeasurementError, match="block 10 expansion 576 -> 8: too many channels"):
        last_expansion(Moody(8))


def test_a_lost_device_is_an_error_in_any_case():
    with pytest.raises(DeviceLostError):
        last_expansion(Moody(8, error=DeviceLostError), discard=lambda lost: None)


def test_a_refusal_is_remembered_but_no_loss():
    spec = REFERENCES["mobilenet_v3_small"](resolution=96)
    for error, questions in ((MeasurementError, 1), (DeviceLostError, 2)):
        moody = Moody(576, error=error)
        latency = remembered(moody)
        for _ in range(2):
            with pytest.raises(error):
                latency(spec)
        assert len(moody.asked) == questions
