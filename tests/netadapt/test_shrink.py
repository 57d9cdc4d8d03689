"""NetAdapt's loop without files, on a device of exact arithmetic."""

import pytest

from latency import MeasurementError, open_device
from netadapt import Widths
from netadapt.shrink import Shrink, narrowest, shrink
from search_spaces import REFERENCES, InputError, count
from search_spaces.network import build

SEED = REFERENCES["mobilenet_v3_small"](width=0.35, resolution=32, classes=2)
FULL_MS = count(SEED).madds / 1e6


def loop(**changes):
    arguments = {"accuracy": 0.8, "latency": open_device("madds:1"), "target_ms": 0.7 * FULL_MS}
    return Shrink(SEED, **(arguments | changes))


def test_it_yields_the_family_down_to_the_target():
    seen = []

    def tune(spec, weights):
        network = build(spec)
        network.load_state_dict(weights)  # inherited, and whole
        seen.append(spec)
        return 0.8 - 0.001 * len(seen), network.state_dict()

    family = list(shrink(loop(), build(SEED).state_dict(), tune))
    latencies = [adapted.latency_ms for adapted in family]
    assert latencies == sorted(latencies, reverse=True)
    assert latencies[-1] <= 0.7 * FULL_MS < FULL_MS
    assert [adapted.step for adapted in family] == list(range(1, len(family) + 1))
    for adapted in family:
        assert count(adapted.spec).madds / 1e6 == pytest.approx(adapted.latency_ms)
        build(adapted.spec).load_state_dict(adapted.weights)


def test_the_ratio_weighs_accuracy_by_what_it_saves():
    current = loop()
    saves_much = current.score(0.78, 0.75 * FULL_MS)
    saves_little = current.score(0.79, 0.9 * FULL_MS)
    assert saves_much == pytest.approx(-0.02 / (0.25 * FULL_MS))
    assert saves_much > saves_little
    # The target is 0.7: what is saved below it is worth nothing.
    assert current.score(0.78, 0.5 * FULL_MS) == pytest.approx(-0.02 / (0.3 * FULL_MS))
    by_accuracy = loop(metric="accuracy")
    assert by_accuracy.score(0.79, 0.9 * FULL_MS) > by_accuracy.score(0.78, 0.5 * FULL_MS)


def test_a_seed_within_the_target_is_done():
    assert loop(target_ms=2 * FULL_MS).done
    assert list(shrink(loop(target_ms=2 * FULL_MS), {}, lambda *_: (0.0, {}))) == []


def test_the_floor_is_the_narrowest_network():
    small = narrowest(SEED, Widths(8, 8))
    assert all(block.out == 8 for block in small.blocks)
    assert loop().floor_ms() == pytest.approx(count(small).madds / 1e6)


def test_a_step_of_failures_leaves_it_stuck():
    current = loop()
    step = current.next_step()
    pairs = [(proposal.spec, proposal.latency_ms) for proposal in step.proposals]
    assert current.choose(pairs, [None] * len(pairs)) is None
    assert current.stuck
    assert current.done


def test_what_cannot_be_measured_is_told_with_the_step():
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


def test_a_step_of_which_nothing_can_be_measured_is_told_from_a_stuck_one():
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
        ({"delta": 1.0}, "delta must be between 0 and 1"),
    ],
)
def test_bad_input(changes, message):
    with pytest.raises(InputError, match=message):
        loop(**changes)


def test_importing_it_loads_no_torch():
    import subprocess
    import sys

    code = "import netadapt.shrink, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
