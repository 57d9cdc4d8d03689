"""NetAdapt's loop, with latencies computed from MAdds."""

import random
from dataclasses import replace

import pytest

from latency import MeasurementError, open_device
from netadapt import Settings, Widths, narrowed, narrowest, scaled, width_groups
from netadapt.serial import shrink
from netadapt.shrink import MAX_WIDENINGS, Shrink
from netadapt.widening import widen
from search_spaces import REFERENCES, InputError, count
from search_spaces.network import build

SEED = REFERENCES["mobilenet_v3_small"](width=0.35, resolution=32, classes=2)
FULL_MS = count(SEED).madds / 1e6


def loop(**changes):
    latency = changes.pop("latency", None) or open_device("madds:1")
    settings = Settings(**({"target_ms": 0.7 * FULL_MS} | changes))
    return Shrink(SEED, settings, accuracy=0.8, latency=latency)


def test_shrink_yields_networks_down_to_the_target():
    seen = []

    def tune(spec, weights):
        network = build(spec)
        network.load_state_dict(weights)
        seen.append(spec)
        return 0.8 - 0.001 * len(seen), network.state_dict()

    family = list(shrink(loop(), build(SEED).state_dict(), tune))
    latencies = [state.latency_ms for state, _ in family]
    assert latencies == sorted(latencies, reverse=True)
    assert latencies[-1] <= 0.7 * FULL_MS < FULL_MS
    for state, weights in family:
        assert count(state.spec).madds / 1e6 == pytest.approx(state.latency_ms)
        build(state.spec).load_state_dict(weights)


def test_score_divides_accuracy_by_the_latency_saved():
    current = loop()
    saves_much = current.score(0.78, 0.75 * FULL_MS)
    saves_little = current.score(0.79, 0.9 * FULL_MS)
    assert saves_much == pytest.approx(-0.02 / (0.25 * FULL_MS))
    assert saves_much > saves_little
    # The target is 0.7: latency saved below it counts for nothing.
    assert current.score(0.78, 0.5 * FULL_MS) == pytest.approx(-0.02 / (0.3 * FULL_MS))
    by_accuracy = loop(metric="accuracy")
    assert by_accuracy.score(0.79, 0.9 * FULL_MS) > by_accuracy.score(0.78, 0.5 * FULL_MS)


def test_a_seed_within_the_target_is_done():
    assert loop(target_ms=2 * FULL_MS).done
    assert list(shrink(loop(target_ms=2 * FULL_MS), {}, lambda *_: (0.0, {}))) == []


def test_narrowest_network():
    small = narrowest(SEED, Widths(8, 8))
    assert all(block.out == 8 for block in small.blocks)
    assert all(block.expand in (0, 8) for block in small.blocks)


LATENCY = lambda spec: count(spec).madds / 1e6  # noqa: E731


def far_below(**changes):
    """A loop whose network has 0.7 of the seed's latency, for a target of 0.8."""
    current = loop(**({"latency": LATENCY, "target_ms": 0.8 * FULL_MS} | changes))
    spec, width = SEED, 1.0
    while LATENCY(spec) > 0.7 * FULL_MS:
        width -= 0.02
        spec = scaled(SEED, width)
    current.choose([(spec, LATENCY(spec))], [0.7])
    return current


def step_of(current):
    """Take a step and return its proposals."""
    proposals = current.next_step().proposals
    pairs = [(proposal.spec, proposal.latency_ms) for proposal in proposals]
    if pairs:
        current.choose(pairs, [0.8] * len(pairs))
    return proposals


def test_a_network_far_below_the_target_is_widened():
    current = far_below()
    assert current.reached
    assert current.widening
    assert not current.done
    now = {group.name: group.width for group in width_groups(current.current.spec)}
    before = {group.name: group.width for group in width_groups(SEED)}
    step = current.next_step()
    assert step.delta_ms == pytest.approx(current.current.latency_ms - current.target_ms)
    for proposal in step.proposals:
        assert now[proposal.group.name] < proposal.width <= before[proposal.group.name]
        assert current.current.latency_ms < proposal.latency_ms <= 0.99 * current.target_ms
        assert proposal.latency_ms == LATENCY(proposal.spec)
    # The most accurate is chosen, whatever its latency.
    pairs = [(p.spec, p.latency_ms) for p in step.proposals]
    scores = [0.5 + 0.01 * place for place in range(len(pairs))]
    assert current.choose(pairs, scores) == len(pairs) - 1


def test_widening_proposes_all_close_networks_or_else_the_closest():
    current = far_below(tolerance=0.1)
    close = current.next_step().proposals
    assert len(close) > 1
    for proposal in close:
        assert 0.9 * current.target_ms <= proposal.latency_ms <= 0.95 * current.target_ms
    assert len(far_below(tolerance=1e-6).next_step().proposals) == 1


@pytest.mark.parametrize(("wider_ms", "proposed"), [(98.5, True), (99.5, True), (100.5, False)])
def test_widening_goes_up_to_the_target_if_no_width_leaves_a_margin(wider_ms, proposed):
    group = next(g for g in width_groups(SEED) if g.width > 16)
    spec = narrowed(SEED, group, 8)
    found = widen(
        spec,
        Settings(target_ms=100.0, tolerance=0.02),
        seed=SEED,
        latency=lambda other: 97.9 if other == spec else wider_ms,
    )
    assert [(p.group.name, p.latency_ms) for p in found] == (
        [(group.name, wider_ms)] if proposed else []
    )


def test_widening_without_a_margin_is_tried_once():
    def wider_ms(spec):  # every wider network is just below the target
        return LATENCY(spec) if spec in (SEED, narrow) else 0.995 * target_ms

    narrow = far_below().current.spec
    target_ms = LATENCY(narrow) / 0.979
    current = loop(latency=wider_ms, target_ms=target_ms)
    current.choose([(narrow, LATENCY(narrow))], [0.7])
    (first, *_) = current.next_step().proposals
    assert first.latency_ms == 0.995 * target_ms
    current.choose([(first.spec, first.latency_ms)], [0.7])
    current.current = replace(current.current, spec=narrow, latency_ms=LATENCY(narrow))
    assert current.widening
    assert current.next_step().proposals == ()
    assert current.done


def tight(target):
    """A loop that ends with a widening for which no group is close enough."""
    return loop(latency=LATENCY, target_ms=target * FULL_MS, tolerance=0.001)


def choose_second(current, step):
    """Choose as the loop of the module's docstring does; the second proposal is the most accurate."""
    accuracies = [0.2, 0.8, 0.2, 0.2][: len(step.proposals)]
    return current.choose([(p.spec, p.latency_ms) for p in step.proposals], accuracies)


@pytest.mark.parametrize(("target", "steps"), [(0.95, 1), (0.9, 2), (0.8, 5)])
def test_a_widening_that_finds_nothing_is_no_step(target, steps):
    current = tight(target)
    while not current.done:
        step = current.next_step()
        best = choose_second(current, step)
    assert (step.widening, step.proposals, best) == (True, (), None)
    assert (current.reached, current.stuck, current.steps) == (True, False, steps)


@pytest.mark.parametrize("target", [0.95, 0.9, 0.8])
def test_recorded_steps_end_the_loop_as_new_ones_do(target):
    whole, again = tight(target), tight(target)
    while not whole.done:
        assert not again.done
        step = whole.next_step()
        again.accept(step.proposals)
        assert choose_second(whole, step) == choose_second(again, step)
    assert again.done
    assert (again.current, again.steps, again.stuck) == (whole.current, whole.steps, whole.stuck)


def test_widenings_are_limited():
    current = far_below(tolerance=1e-6)
    seen = [current.current.latency_ms]
    while not current.done:
        step_of(current)
        seen.append(current.current.latency_ms)
    assert current.reached
    assert 1 < len(seen) <= 1 + MAX_WIDENINGS
    assert seen == sorted(seen)


def test_the_loop_ends_on_a_noisy_device():
    readings = random.Random(0)
    current = loop(latency=LATENCY, target_ms=0.7 * FULL_MS)
    steps = 0
    while not current.done:
        step_of(current)
        current.confirm(LATENCY(current.current.spec) * readings.uniform(0.93, 1.07))
        steps += 1
        assert steps < 60
    assert current.stuck or current.reached


@pytest.mark.parametrize(
    ("over", "low", "reached"),
    [(1.0005, 0.998, True), (1.0005, 1.0001, False), (1.05, 0.95, False), (0.999, 0.99, True)],
)
def test_a_target_within_the_interval_is_reached(over, low, reached):
    """Otherwise a step of twenty proposals would go into half a thousandth of the target."""
    current = loop()
    target_ms = current.target_ms
    current.confirm(over * target_ms, low_ms=low * target_ms)
    assert current.reached == current.done == reached


def test_failures_while_widening_keep_the_current_network():
    current = far_below()
    reached = current.current
    pairs = [(p.spec, p.latency_ms) for p in current.next_step().proposals]
    assert current.choose(pairs, [None] * len(pairs)) is None
    assert current.done
    assert not current.stuck
    assert current.current == reached


def test_a_tolerance_of_one_disables_widening():
    assert far_below(tolerance=1.0).done


def test_the_loop_is_stuck_if_all_proposals_fail():
    current = loop()
    step = current.next_step()
    pairs = [(proposal.spec, proposal.latency_ms) for proposal in step.proposals]
    assert current.choose(pairs, [None] * len(pairs)) is None
    assert current.stuck
    assert current.done


def test_a_step_lists_what_could_not_be_measured():
    madds = open_device("madds:1")
    plain = {p.group for p in loop().next_step().proposals}

    def latency(spec):
        if spec.blocks[-1].expand < SEED.blocks[-1].expand:
            raise MeasurementError("busy")
        return madds.latency(spec).median_ms

    current = loop(latency=latency)
    step = current.next_step()
    lost = {discarded.group.name for discarded in step.discarded}
    assert lost == {"block 10 expansion"}
    assert {p.group for p in step.proposals} == {g for g in plain if g.name not in lost}
    assert not current.unmeasured(step)


def test_unmeasured_differs_from_stuck():
    madds = open_device("madds:1")

    def latency(spec):
        if spec != SEED:
            raise MeasurementError("busy")
        return madds.latency(spec).median_ms

    current = loop(latency=latency)
    assert current.unmeasured(current.next_step())
    stuck = loop(target_ms=0.001 * FULL_MS, delta=0.99)
    step = stuck.next_step()
    assert not step.proposals
    assert not stuck.unmeasured(step)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"target_ms": 0}, "target_ms must be above 0, got 0"),
        ({"target_ms": float("nan")}, "target_ms must be above 0, got nan"),
        ({"metric": "luck"}, "metric must be ratio or accuracy, got 'luck'"),
        ({"tolerance": 0.0}, "tolerance must be above 0 and at most 1, got 0"),
        ({"delta": 1.0}, "delta must be between 0 and 1"),
    ],
)
def test_bad_input(changes, message):
    with pytest.raises(InputError, match=message):
        loop(**changes)


def test_importing_shrink_loads_no_torch():
    import subprocess
    import sys

    code = "import netadapt.shrink, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
