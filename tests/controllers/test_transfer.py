"""A policy that another search begins with: what it prefers, what starts anew, what is refused."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from controllers import CONTROLLERS, CanTransfer, SavedPolicy, check_controller, make_controller
from controllers.controller import Tokens
from controllers.reinforce import Reinforce
from controllers.screened import Screened
from search_spaces.errors import InputError

ARITIES = (3, 4, 2, 3, 2)
WITH_POLICY = ("rnn", "screened")


def trained(batches: int = 12, *, name: str = "rnn", **options: Any) -> Any:
    """A controller that has learned to prefer the last choice of each decision."""
    controller = make_controller(name, ARITIES, seed=0, options=options)
    for _ in range(batches):
        controller.tell([(tokens, float(sum(tokens))) for tokens in controller.ask(10)])
    return controller


def new(name: str = "rnn", seed: int = 1, **options: Any) -> Any:
    return make_controller(name, ARITIES, seed=seed, options=options)


def last_choices(controller: Any) -> list[float]:
    """The probability of the last choice of each decision."""
    return [row[-1] for row in controller.choice_probabilities()]


def entropy(controller: Any) -> float:
    """A lower bound of the part that is left of a uniform policy's entropy."""
    rows = controller.choice_probabilities()
    return -sum(p * math.log(p) for row in rows for p in row if p) / sum(map(math.log, ARITIES))


def test_only_controllers_with_a_policy_take_one_over() -> None:
    able = [n for n in CONTROLLERS if isinstance(make_controller(n, (2,), seed=0), CanTransfer)]
    assert able == list(WITH_POLICY)


@pytest.mark.parametrize("earlier", WITH_POLICY)
@pytest.mark.parametrize("later", WITH_POLICY)
def test_what_the_old_policy_preferred_is_more_probable(earlier: str, later: str) -> None:
    controller, before = new(later), last_choices(new(later))
    controller.begin_with(trained(name=earlier).saved_policy())
    after = last_choices(controller)
    assert all(b > a for a, b in zip(before, after, strict=True))

    def total(asked: list[Tokens]) -> int:
        return sum(map(sum, asked))

    assert total(controller.ask(10)) > total(new(later).ask(10))


def test_an_undecided_policy_is_taken_over_as_it_is() -> None:
    policy, controller = trained(3).saved_policy(), new()
    controller.begin_with(policy)
    ours = controller.saved_policy().weights
    assert all(torch.equal(ours[name], policy.weights[name]) for name in policy.weights)


def test_a_policy_that_has_decided_is_softened_and_prefers_the_same() -> None:
    decided, controller = trained(60, entropy_weight=0.0), new()
    assert entropy(decided) < 0.3
    controller.begin_with(decided.saved_policy())
    assert 0.45 < entropy(controller) < 0.7
    for old, row in zip(
        decided.choice_probabilities(), controller.choice_probabilities(), strict=True
    ):
        assert row.index(max(row)) == old.index(max(old))


def test_a_policy_without_any_doubt_is_softened_too() -> None:
    """Logits as large as no training makes them."""
    policy, controller = trained(3).saved_policy(), new()
    firm = {**policy.weights, "head_bias": 1e4 * policy.weights["head_bias"]}
    controller.begin_with(replace(policy, weights=firm))
    assert entropy(controller) > 0.4


def test_rewards_of_the_earlier_search_are_forgotten() -> None:
    """Those of other data may have another unit: baseline and optimizer are new."""
    controller = new()
    controller.begin_with(trained().saved_policy())
    ours, fresh = controller.state_dict(), new().state_dict()
    assert ours["baseline"] == fresh["baseline"]
    assert ours["optimizer"] == fresh["optimizer"]
    controller.tell([(tokens, -1e6 + sum(tokens)) for tokens in controller.ask(20)])
    assert (
        min(last_choices(controller)) > 0.4
    )  # a unit of its own moves it no further than any other


def test_it_can_learn_the_opposite() -> None:
    controller = new()
    controller.begin_with(trained(40).saved_policy())
    for _ in range(60):
        controller.tell([(tokens, -float(sum(tokens))) for tokens in controller.ask(10)])
    assert max(last_choices(controller)) < 0.3


def test_warming_up_begins_from_it() -> None:
    """Nothing moves where the old policy is within the limit already."""
    policy = trained(60).saved_policy()
    within, beyond = new(), new()
    for controller, enough in ((within, 4.0), (beyond, -2.0)):
        controller.begin_with(policy)
        sign = 1 if enough > 0 else -1
        before = controller.saved_policy().weights
        controller.warm_up(lambda tokens, sign=sign: sign * float(sum(tokens)), enough=enough)
        moved = controller.saved_policy().weights
        same = all(torch.equal(before[name], moved[name]) for name in before)
        assert same == (controller is within)


def test_a_restored_state_goes_on_from_the_policy() -> None:
    controller, restored = new("screened"), new("screened", seed=2)
    controller.begin_with(trained().saved_policy())
    restored.load_state_dict(controller.state_dict())
    assert restored.ask(10) == controller.ask(10)


def refused() -> dict[str, tuple[SavedPolicy, str]]:
    policy = trained(1).saved_policy()
    other = make_controller("rnn", (3, 4), seed=0)
    small = make_controller("rnn", ARITIES, seed=0, options={"hidden": 8})
    assert isinstance(other, CanTransfer)
    assert isinstance(small, CanTransfer)
    start = policy.weights["start"]
    return {
        "space": (other.saved_policy(), "the policy has 2 decisions of 3, 4 choices, and this space 5"),
        "options": (small.saved_policy(), "the policy has hidden 8, and this controller 100"),
        "nan": (replace(policy, weights={**policy.weights, "start": start / 0}), "weights are damaged"),
        "shape": (replace(policy, weights={**policy.weights, "start": start[1:]}), "weights are damaged"),
        "part": (replace(policy, weights={"start": start}), "weights are damaged"),
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["space", "options", "nan", "shape", "part"])
@pytest.mark.parametrize("name", WITH_POLICY)
def test_a_policy_that_does_not_fit_is_refused(name: str, kind: str) -> None:
    policy, problem = refused()[kind]
    controller = new(name)
    with pytest.raises(InputError, match=problem):
        controller.begin_with(policy)
    assert controller.ask(10) == new(name).ask(10)


@pytest.mark.parametrize("name", WITH_POLICY)
def test_the_contract_holds_for_a_controller_that_began_with_a_policy(name: str) -> None:
    def make(arities: tuple[int, ...], seed: int) -> Any:
        earlier: Any = make_controller(name, arities, seed=9)
        controller: Any = make_controller(name, arities, seed=seed)
        earlier.tell([(tokens, float(sum(tokens))) for tokens in earlier.ask(30)])
        controller.begin_with(earlier.saved_policy())
        return controller

    check_controller(make)


class Shared(Reinforce):
    """Hands out its own weights, which later steps change."""

    def saved_policy(self) -> SavedPolicy:
        return replace(super().saved_policy(), weights=self._policy.state_dict())

    def begin_with(self, policy: SavedPolicy) -> None:
        super().begin_with(policy)
        for name, own in self._policy.named_parameters():
            own.data = policy.weights[name]


class Trusting(Screened):
    def begin_with(self, policy: SavedPolicy) -> None:
        if policy.arities == self.arities:
            super().begin_with(policy)


@pytest.mark.parametrize(
    ("broken", "complaint"),
    [(Shared, "altered the saved policy"), (Trusting, "other arities must raise InputError")],
)
def test_the_contract_notices(broken: Any, complaint: str) -> None:
    with pytest.raises(AssertionError, match=complaint):
        check_controller(lambda arities, seed: broken(arities, seed=seed))
