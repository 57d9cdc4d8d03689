"""A policy warmed up on latency alone: the power law, and where the policy then begins."""

import math
import statistics

import pytest

from controllers import CanWarmUp, make_controller
from nas.latency_warmup import ENOUGH, PowerLaw, warm_up
from search_spaces import REFERENCES, count, load_space

SPACE = load_space("mnasnet", resolution=224, classes=10)
LAW = PowerLaw(scale_ms=0.02, power=0.9)
WARM = ("rnn", "screened")


def off(tokens, target_ms, law=LAW):
    return abs(math.log(law.ms(SPACE.decode(tokens)) / target_ms))


def test_the_law_is_found_again_from_its_own_figures():
    specs = [make() for make in REFERENCES.values()]
    law = PowerLaw.through([(spec, 0.03 * (count(spec).madds / 1e6) ** 0.7) for spec in specs])
    assert law.scale_ms == pytest.approx(0.03)
    assert law.power == pytest.approx(0.7)
    assert law.error == pytest.approx(0.0, abs=1e-9)


def test_a_law_that_would_fall_is_flat_and_says_how_far_off_it_is():
    small, large = REFERENCES["mobilenet_v3_small"](), REFERENCES["mobilenet_v3_large"]()
    middle = REFERENCES["mobilenet_v3_small"](width=1.25)
    law = PowerLaw.through([(small, 4.0), (large, 1.0), (middle, 2.0)])
    assert law.power == 0.0
    assert law.scale_ms == pytest.approx(2.0)  # the geometric mean
    assert law.error > 0.5


@pytest.mark.parametrize("name", WARM)
@pytest.mark.parametrize("target_ms", [1.0, 4.0, 8.0])
def test_a_warmed_up_policy_begins_near_the_target(name, target_ms):
    controller = make_controller(name, SPACE.arities, seed=0)
    reached = warm_up(controller, SPACE, [LAW], [target_ms])
    assert 1.0 <= reached <= ENOUGH
    begun = statistics.median(off(tokens, target_ms) for tokens in controller.ask(50))
    assert begun < math.log(1.4)
    assert len({*controller.ask(50)}) == 50  # it still has choices


@pytest.mark.parametrize("name", WARM)
def test_it_is_a_function_of_the_seed_and_its_state_is_whole(name):
    first, second = (make_controller(name, SPACE.arities, seed=3) for _ in range(2))
    for controller in (first, second):
        warm_up(controller, SPACE, [LAW], [1.0])
    copy = make_controller(name, SPACE.arities, seed=3)
    copy.load_state_dict(first.state_dict())
    assert first.ask(10) == second.ask(10) == copy.ask(10)


def test_the_trials_baseline_does_not_hear_of_it():
    """Rewards are of another unit: what they are compared with is set by the trials alone."""
    warmed, fresh = (make_controller("rnn", SPACE.arities, seed=0) for _ in range(2))
    warm_up(warmed, SPACE, [LAW], [1.0])
    assert warmed._baseline == fresh._baseline


def test_a_target_out_of_reach_leaves_choices():
    controller = make_controller("rnn", SPACE.arities, seed=0)
    assert warm_up(controller, SPACE, [LAW], [1e-3]) > ENOUGH
    assert len({*controller.ask(50)}) > 25


def test_of_several_devices_the_tightest_target_counts():
    controller = make_controller("rnn", SPACE.arities, seed=0)
    slow = PowerLaw(scale_ms=0.2, power=0.9)
    warm_up(controller, SPACE, [LAW, slow], [8.0, 10.0])
    begun = [off(tokens, 10.0, slow) for tokens in controller.ask(50)]
    assert statistics.median(begun) < math.log(1.4)


def test_controllers_without_a_policy_cannot():
    for name in ("uniform", "evolution"):
        assert not isinstance(make_controller(name, (2, 3), seed=0), CanWarmUp)
    for name in WARM:
        assert isinstance(make_controller(name, (2, 3), seed=0), CanWarmUp)


def test_it_serves_a_space_of_one_network():
    space = load_space("mnasnet", resolution=224, classes=10)
    controller = make_controller("screened", (1,) * len(space.arities), seed=0)
    assert warm_up(controller, space, [LAW], [1.0]) > 0
