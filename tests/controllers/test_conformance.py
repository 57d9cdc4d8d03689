"""Every controller satisfies the contract, and `check_controller` detects violations."""

import itertools
import pickle
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from controllers import (
    CONTROLLERS,
    CanConstrain,
    CanMergeAliases,
    check_controller,
    make_controller,
)
from controllers.controller import Scored, Tokens
from controllers.uniform import Uniform


@pytest.mark.parametrize("name", CONTROLLERS)
def test_contract(name: str) -> None:
    check_controller(lambda arities, seed: make_controller(name, arities, seed=seed))


@pytest.mark.parametrize("name", ["screened", "uniform"])
@pytest.mark.parametrize("least", [-3.0, -1.5, 0.0])
def test_contract_with_a_constraint(name: str, least: float) -> None:
    """The first bound allows a few sequences, the last none."""

    def make(arities: tuple[int, ...], seed: int) -> Any:
        controller: Any = make_controller(name, arities, seed=seed)
        controller.constrain(lambda tokens: -1.0 - sum(tokens), least=least)
        return controller

    check_controller(make)


def test_contract_with_options() -> None:
    options = {"normalize": False, "temperature": 2.0, "tanh_constant": 2.5, "hidden": 8}
    check_controller(
        lambda arities, seed: make_controller("rnn", arities, seed=seed, options=options)
    )


@pytest.mark.parametrize("name", CONTROLLERS)
def test_pickling_with_a_batch_in_flight(name: str) -> None:
    controller = make_controller(name, (3, 4, 2), seed=0, options=SMALL_WARMUP.get(name, {}))
    if isinstance(controller, CanConstrain):
        controller.constrain(_cost, least=-5.0)
    if isinstance(controller, CanMergeAliases):
        controller.merge_aliases(_canonical)
    for _ in range(3):
        controller.tell([(tokens, float(sum(tokens))) for tokens in controller.ask(4)])
    controller.ask(2)
    again = pickle.loads(pickle.dumps(controller))
    assert again.ask(3) == controller.ask(3)


SMALL_WARMUP = {"screened": {"warmup": 4}, "rnn": {"warmup": 4}}


def _cost(tokens: Tokens) -> float:
    return -float(sum(tokens))


def _canonical(tokens: Tokens) -> Tokens:
    return (0, 0, tokens[2]) if tokens[0] == 0 else tokens


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("rnn", {"learning_rate": np.float64(0.01), "hidden": np.int64(8), "warmup": np.int64(4)}),
        ("screened", {"learning_rate": np.float64(0.01), "proposals": np.int64(50)}),
        ("evolution", {"population_size": np.int64(4), "sample_size": np.int64(2)}),
    ],
)
def test_options_may_be_numpy_numbers(name: str, options: dict[str, Any], tmp_path: Path) -> None:
    controller = make_controller(name, (3, 4), seed=np.int64(3), options=options)  # type: ignore[arg-type]
    controller.tell([(tokens, float(sum(tokens))) for tokens in controller.ask(6)])
    torch.save(controller.state_dict(), tmp_path / "state.pt")
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    again = make_controller(name, (3, 4), seed=0, options=options)
    again.load_state_dict(state)
    assert again.ask(4) == controller.ask(4)


class Global(Uniform):
    """Uses the global generator."""

    def ask(self, n: int) -> list[Tokens]:
        return [tuple(random.randrange(arity) for arity in self.arities) for _ in range(max(n, 0))]


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
        (TooFew, "returned 0 sequences"),
        (Unseeded, "equal seed and history"),
        (Global, "equal seed and history"),
        (Credulous, "must raise InputError"),
        (Forgetful, "continued differently"),
        (Disturbed, "disturbed ask"),
    ],
)
def test_check_notices(broken: Callable[..., Uniform], complaint: str) -> None:
    with pytest.raises(AssertionError, match=complaint):
        check_controller(lambda arities, seed: broken(arities, seed=seed))
