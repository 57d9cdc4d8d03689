"""What is known of latency beforehand: the power law, where a policy begins, what is kept within."""

import statistics

import pytest
import torch

from controllers import CONTROLLERS, CanConstrain, CanWarmUp, make_controller
from nas.searching.latency_warmup import PowerLaw, can_be_guided, guide
from search_spaces import REFERENCES, ElasticSpace, count, load_space

SPACE = load_space("mnasnet", resolution=224, classes=10)
LAW = PowerLaw(scale_ms=0.02, power=0.9)
GUIDED = ("rnn", "screened", "uniform")
KEPT = ("screened", "uniform")


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


@pytest.mark.parametrize("target_ms", [0.8, 1.0, 2.0])
def test_half_of_what_a_warmed_up_policy_draws_is_within_the_target(target_ms):
    controller = make_controller("rnn", SPACE.arities, seed=0)
    assert over(controller, target_ms) > 1.5
    guide(controller, SPACE, [LAW], [target_ms])
    assert 0.6 < over(controller, target_ms) < 1.25
    assert len({*controller.ask(50)}) == 50  # it still has choices


@pytest.mark.parametrize("name", KEPT)
def test_nothing_far_below_the_target_is_asked_for_where_that_is_wanted(name):
    space = ElasticSpace.of(REFERENCES["mobilenet_v2"](), classes=10, resolutions=(96, 128))
    whole_ms = LAW.ms(space.parent)
    controller = make_controller(name, space.arities, seed=0)
    guide(controller, space, [LAW], [whole_ms / 2], least=0.7)
    parts = [LAW.ms(space.decode(t)) / (whole_ms / 2) for t in controller.ask(10)]
    assert min(parts) >= 0.7
    assert max(parts) <= 1
    small = make_controller(name, space.arities, seed=0)
    guide(small, space, [LAW], [whole_ms / 2])
    assert min(LAW.ms(space.decode(t)) / (whole_ms / 2) for t in small.ask(10)) < 0.7


@pytest.mark.parametrize("name", KEPT)
@pytest.mark.parametrize("law", [LAW, PowerLaw(scale_ms=0.02, power=0.9, error=0.2)])
def test_all_that_is_asked_for_is_within_the_target_but_for_the_laws_error(name, law):
    """Also once it has learned that nothing is as good as a large network."""
    controller = make_controller(name, SPACE.arities, seed=0)
    guide(controller, SPACE, [law], [1.0])
    factors = []
    for _ in range(4):
        asked = controller.ask(10)
        guesses = [law.ms(SPACE.decode(tokens)) for tokens in asked]
        controller.tell(list(zip(asked, guesses, strict=True)))
        factors += guesses
    assert max(factors) <= (1 + law.error) * 1.0000001
    if law.error:
        assert max(factors) > 1.0
    assert len({*factors}) > 20


@pytest.mark.parametrize("name", KEPT)
def test_a_bound_that_nothing_keeps_leaves_what_comes_nearest(name):
    """Of a target out of reach the smallest networks are asked for, and no less than before."""
    far, free = (make_controller(name, SPACE.arities, seed=0) for _ in range(2))
    guide(far, SPACE, [LAW], [1e-3])
    for controller in (far, free):
        controller.tell([(tokens, 1.0) for tokens in controller.ask(10)])
    assert len({*far.ask(30)}) > 20
    assert over(far, 1.0) < 0.7 * over(free, 1.0)


def test_each_device_has_the_margin_of_its_own_law():
    exact, rough = PowerLaw(scale_ms=0.02, power=0.9), PowerLaw(scale_ms=0.02, power=0.9, error=1.0)
    controller = make_controller("uniform", SPACE.arities, seed=0)
    guide(controller, SPACE, [exact, rough], [1.0, 1.0])
    assert max(exact.ms(SPACE.decode(tokens)) for tokens in controller.ask(20)) <= 1.0000001


def test_nothing_moves_where_half_is_within_already():
    guided, free = (make_controller("rnn", SPACE.arities, seed=0) for _ in range(2))
    guide(guided, SPACE, [LAW], [8.0])
    ours, drawn = (each.state_dict()["policy"] for each in (guided, free))
    assert all(torch.equal(ours[name], drawn[name]) for name in drawn)


@pytest.mark.parametrize("name", GUIDED)
def test_it_is_a_function_of_the_seed_and_its_state_is_whole(name):
    first, second, copy = (make_controller(name, SPACE.arities, seed=3) for _ in range(3))
    for controller in (first, second, copy):
        guide(controller, SPACE, [LAW], [1.0])
    assert first.ask(10) == second.ask(10)
    copy.load_state_dict(first.state_dict())
    assert first.ask(10) == second.ask(10) == copy.ask(10)


def test_the_trials_do_not_hear_of_the_warm_up():
    """Rewards are of another unit: neither the baseline nor the optimizer's momentum has seen one."""
    guided, fresh = (make_controller("rnn", SPACE.arities, seed=0) for _ in range(2))
    guide(guided, SPACE, [LAW], [1.0])
    ours, drawn = (each.state_dict() for each in (guided, fresh))
    assert ours["baseline"] == drawn["baseline"]
    assert ours["optimizer"] == drawn["optimizer"]


@pytest.mark.parametrize("seed", range(3))
def test_a_target_out_of_reach_leaves_choices(seed):
    controller = make_controller("rnn", SPACE.arities, seed=seed)
    guide(controller, SPACE, [LAW], [1e-3])
    assert len({*controller.ask(50)}) == 50


@pytest.mark.parametrize("name", GUIDED)
def test_of_several_devices_the_tightest_target_counts(name):
    controller = make_controller(name, SPACE.arities, seed=0)
    slow = PowerLaw(scale_ms=0.2, power=0.9)
    guide(controller, SPACE, [LAW, slow], [8.0, 10.0])
    assert 0.6 < over(controller, 10.0, slow) < 1.25


def test_evolution_cannot():
    assert {name for name in CONTROLLERS if can_be_guided(make_controller(name, (2, 3), seed=0))} == {
        "rnn", "screened", "uniform"
    }  # fmt: skip
    assert not isinstance(make_controller("rnn", (2, 3), seed=0), CanConstrain)
    assert not isinstance(make_controller("uniform", (2, 3), seed=0), CanWarmUp)


@pytest.mark.parametrize("name", GUIDED)
def test_it_serves_a_space_of_one_network(name):
    controller = make_controller(name, (1,) * len(SPACE.arities), seed=0)
    guide(controller, SPACE, [LAW], [1.0])
    assert controller.ask(3) == [(0,) * len(SPACE.arities)] * 3
