"""Every controller keeps the contract, and the published check notices who does not."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from controllers import CONTROLLERS, check_controller, make_controller
from controllers.controller import Scored, Tokens
from controllers.uniform import Uniform


@pytest.mark.parametrize("name", CONTROLLERS)
def test_contract(name: str) -> None:
    check_controller(lambda arities, seed: make_controller(name, arities, seed=seed))


@pytest.mark.parametrize("name", ["screened", "uniform"])
@pytest.mark.parametrize("least", [-3.0, -1.5, 0.0])
def test_contract_kept_within(name: str, least: float) -> None:
    """Of the bounds the first lets a few sequences in, the last none."""

    def make(arities: tuple[int, ...], seed: int) -> Any:
        controller: Any = make_controller(name, arities, seed=seed)
        controller.keep_within(lambda tokens: -1.0 - sum(tokens), least=least)
        return controller

    check_controller(make)


def test_contract_with_options() -> None:
    options = {"normalize": False, "temperature": 2.0, "tanh_constant": 2.5, "hidden": 8}
    check_controller(
        lambda arities, seed: make_controller("rnn", arities, seed=seed, options=options)
    )


class OutOfRange(Uniform):
    def ask(self, n: int) -> list[Tokens]:
        return [tuple(arity for arity in self.arities) for _ in super().ask(n)]


class TooFew(Uniform):
    def ask(self, n: int) -> list[Tokens]:
        return super().ask(n)[1:]


class Unseeded(Uniform):
    made = itertools.count()

    def __init__(self, arities: tuple[int, ...], *, seed: int) -> None:
        super().__init__(arities, seed=next(self.made))


class Credulous(Uniform):
    def tell(self, scored: Scored) -> None:
        pass


class Forgetful(Uniform):
    def load_state_dict(self, state: Any) -> None:
        before = self.state_dict()
        super().load_state_dict(state)
        super().load_state_dict(before)


class Disturbed(Uniform):
    def choice_probabilities(self) -> list[list[float]]:
        self.ask(1)
        return [[1 / arity] * arity for arity in self.arities]


@pytest.mark.parametrize(
    ("broken", "complaint"),
    [
        (OutOfRange, "out of range"),
        (TooFew, "gave 0 sequences"),
        (Unseeded, "one seed and history"),
        (Credulous, "must raise InputError"),
        (Forgetful, "continued differently"),
        (Disturbed, "disturbed ask"),
    ],
)
def test_check_notices(broken: Callable[..., Uniform], complaint: str) -> None:
    with pytest.raises(AssertionError, match=complaint):
        check_controller(lambda arities, seed: broken(arities, seed=seed))
