"""A policy warmed up on latency alone: the power law, and where the policy then begins."""

import statistics

import pytest

from controllers import CanWarmUp, make_controller
from nas.latency_warmup import PowerLaw, warm_up
from search_spaces import REFERENCES, count, load_space

SPACE = load_space("mnasnet", resolution=224, classes=10)
LAW = PowerLaw(scale_ms=0.02, power=0.9)
WARM = ("rnn", "screened")


def over(controller, target_ms, law=LAW):
    """The middle one of fifty networks, and how far it is above the target: 1 is on it."""
    asked = controller.ask(50)
    return statistics.median(law.ms(SPACE.decode(tokens)) / target_ms for tokens in asked)


def test_the_law_is_found_again_from_its_own_figures():
    specs = [make() for make in REFERENCES.values()]
    law = PowerLaw.through([(spec, 0.03 * (count(spec).madds / 1e6) ** 0.7) for spec in specs])
    assert law.scale_ms == pytest.approx(0.03)
    assert law.power == pytest.approx(0.7)
    assert law.error == pytest.approx(0.0, abs=1e-9)


def test_networks_all_of_one_size_have_one_latency():
    small = REFERENCES["mobilenet_v3_small"]()
    law = PowerLaw.through([(small, 2.0), (small, 8.0), (small, 4.0)])
    assert (law.power, law.ms(small)) == (0.0, pytest.approx(4.0))


def test_a_law_that_would_fall_is_flat_and_says_how_far_off_it_is():
    small, large = REFERENCES["mobilenet_v3_small"](), REFERENCES["mobilenet_v3_large"]()
    middle = REFERENCES["mobilenet_v3_small"](width=1.25)
    law = PowerLaw.through([(small, 4.0), (large, 1.0), (middle, 2.0)])
    assert law.power == 0.0
    assert law.scale_ms == pytest.approx(2.0)  # the geometric mean
    assert law.error > 0.5


@pytest.mark.parametrize("name", WARM)
@pytest.mark.parametrize("target_ms", [0.8, 1.0, 2.0])
def test_half_of_what_a_warmed_up_policy_draws_is_within_the_target(name, target_ms):
    controller = make_controller(name, SPACE.arities, seed=0)
    assert over(make_controller(name, SPACE.arities, seed=0), target_ms) > 1.5
    assert warm_up(controller, SPACE, [LAW], [target_ms]) == 1.0
    assert 0.6 < over(controller, target_ms) < 1.25
    assert len({*controller.ask(50)}) == 50  # it still has choices


def test_nothing_moves_where_half_is_within_already():
    controller = make_controller("rnn", SPACE.arities, seed=0)
    weights = controller.state_dict()
    warm_up(controller, SPACE, [LAW], [8.0])
    probabilities = controller.choice_probabilities()
    controller.load_state_dict(weights)
    for ours, drawn in zip(probabilities, controller.choice_probabilities(), strict=True):
        assert ours == pytest.approx(drawn, abs=0.05)  # of other samples


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


@pytest.mark.parametrize("seed", range(3))
def test_a_target_out_of_reach_leaves_choices(seed):
    controller = make_controller("rnn", SPACE.arities, seed=seed)
    assert warm_up(controller, SPACE, [LAW], [1e-3]) > 1.0
    assert len({*controller.ask(50)}) == 50


def test_of_several_devices_the_tightest_target_counts():
    controller = make_controller("rnn", SPACE.arities, seed=0)
    slow = PowerLaw(scale_ms=0.2, power=0.9)
    warm_up(controller, SPACE, [LAW, slow], [8.0, 10.0])
    assert 0.6 < over(controller, 10.0, slow) < 1.25


def test_controllers_without_a_policy_cannot():
    for name in ("uniform", "evolution"):
        assert not isinstance(make_controller(name, (2, 3), seed=0), CanWarmUp)
    for name in WARM:
        assert isinstance(make_controller(name, (2, 3), seed=0), CanWarmUp)


def test_it_serves_a_space_of_one_network():
    space = load_space("mnasnet", resolution=224, classes=10)
    controller = make_controller("screened", (1,) * len(space.arities), seed=0)
    assert warm_up(controller, space, [LAW], [1.0]) > 0
