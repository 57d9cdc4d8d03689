"""The controller contract as a function, like Gymnasium's ``check_env``.

In the tests of your own controller:

    check_controller(lambda arities, seed: MyController(arities, seed=seed))
"""

import io
import math
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np

from controllers.controller import CanTransfer, Controller, HasPolicy, Tokens
from search_spaces.errors import InputError

MakeController = Callable[[tuple[int, ...], int], Controller]

ARITIES = ((2, 3), (1, 4, 2, 3), (3,))
BATCH = 8
ROUNDS = 5  # 40 trials: past the warm-up of every controller here


def check_controller(make: MakeController) -> None:
    """Run every check of the contract on small spaces.

    Args:
        make: (arities, seed) -> a new controller.

    Raises:
        AssertionError: the controller breaks the contract; the message says which part.
    """
    for arities in ARITIES:
        for check in CHECKS:
            check(make, arities)


def check_tokens_in_range(make: MakeController, arities: tuple[int, ...]) -> None:
    """``ask(n)`` returns n sequences of ints in range, before and after learning."""
    controller = make(arities, 0)
    _require(tuple(controller.arities) == arities, f"arities: {controller.arities} != {arities}")
    for n in (1, BATCH, 3):
        asked = controller.ask(n)
        _require(len(asked) == n, f"ask({n}) returned {len(asked)} sequences")
        for tokens in asked:
            _require(isinstance(tokens, tuple), f"tokens must be a tuple, got {tokens!r}")
            _require(len(tokens) == len(arities), f"wrong length for {arities}: {tokens}")
            for token, arity in zip(tokens, arities, strict=True):
                _require(type(token) is int, f"token must be an int, got {token!r}")
                _require(0 <= token < arity, f"token out of range for {arities}: {tokens}")
        _play(controller)


def check_determinism(make: MakeController, arities: tuple[int, ...]) -> None:
    """Equal seeds and histories give equal proposals, whatever the state of global generators."""
    first, second = make(arities, 7), make(arities, 7)
    for round_ in range(ROUNDS):
        with _global_seed(round_):
            asked = first.ask(BATCH)
        with _global_seed(-round_ - 1):
            again = second.ask(BATCH)
        _require(asked == again, "controllers of equal seed and history made different proposals")
        for controller in (first, second):
            controller.tell([(tokens, _score(tokens)) for tokens in asked])


def check_any_order(make: MakeController, arities: tuple[int, ...]) -> None:
    """Tell before ask (replay), two asks before a tell, unknown sequences, empty batches."""
    foreign = tuple(arity - 1 for arity in arities)
    controller = make(arities, 0)
    controller.tell([(foreign, 0.5), (foreign, 0.25)])
    first, second = controller.ask(BATCH), controller.ask(BATCH)
    controller.tell([(tokens, _score(tokens)) for tokens in first])
    controller.tell([])
    controller.tell([(tokens, _score(tokens)) for tokens in second])
    controller.tell([(foreign, 0.0)])
    _play(controller)


def check_bad_input(make: MakeController, arities: tuple[int, ...]) -> None:
    """Invalid input raises InputError and changes nothing."""
    controller, untouched = make(arities, 0), make(arities, 0)
    fine = (0,) * len(arities)
    for n in (0, -1):
        _expect_input_error(partial(controller.ask, n), f"ask({n})")
    for tokens in ((*fine, 0), fine[1:], (arities[0], *fine[1:]), (-1, *fine[1:])):
        scored = [(fine, 0.5), (tokens, 0.5)]
        _expect_input_error(partial(controller.tell, scored), f"tokens {tokens}")
    for score in (math.nan, math.inf, -math.inf):
        scored = [(fine, 0.5), (fine, score)]
        _expect_input_error(partial(controller.tell, scored), f"score {score}")
    _require(_play(controller) == _play(untouched), "rejected input changed the next proposals")


def check_state_round_trip(make: MakeController, arities: tuple[int, ...]) -> None:
    """A state saved mid-run, through a file, continues another controller identically."""
    controller = make(arities, 3)
    _play(controller)
    controller.ask(BATCH)  # a batch in flight
    state = controller.state_dict()
    expected = _play(controller)  # before the state is written: it must be a snapshot
    restored = make(arities, 4)
    restored.load_state_dict(_through_file(state))
    _require(_play(restored) == expected, "a restored controller continued differently")
    again = make(arities, 5)
    again.load_state_dict(_through_file(state))
    _require(_play(again) == expected, "loading or continuing altered the saved state")


def check_foreign_state(make: MakeController, arities: tuple[int, ...]) -> None:
    """The state of a controller for another space raises InputError."""
    controller, other = make(arities, 0), make((*arities, 2), 0)
    _expect_input_error(lambda: controller.load_state_dict(other.state_dict()), "other arities")
    _expect_input_error(lambda: controller.load_state_dict({}), "an empty state")


def check_choice_probabilities(make: MakeController, arities: tuple[int, ...]) -> None:
    """The marginals of a policy are distributions, and reading them changes nothing."""
    looked_at, left_alone = make(arities, 0), make(arities, 0)
    if not isinstance(looked_at, HasPolicy):
        return
    for _ in range(2):
        rows = looked_at.choice_probabilities()
        _require(tuple(len(row) for row in rows) == arities, f"wrong shape for {arities}: {rows}")
        for row in rows:
            _require(all(p >= 0 for p in row), f"negative probability: {row}")
            _require(
                math.isclose(sum(row), 1.0, abs_tol=1e-4), f"probabilities must sum to 1: {row}"
            )
        _require(_play(looked_at) == _play(left_alone), "choice_probabilities disturbed ask")


def check_transfer(make: MakeController, arities: tuple[int, ...]) -> None:
    """A policy is a snapshot with which any new controller begins alike; another space's is refused."""
    earlier, undisturbed = make(arities, 0), make(arities, 0)
    if not isinstance(earlier, CanTransfer):
        return
    _require(_play(earlier) == _play(undisturbed), "equal controllers played differently")
    policy = earlier.saved_policy()
    _require(_play(earlier) == _play(undisturbed), "saved_policy disturbed ask")
    played = []
    for _ in range(2):
        later, other = make(arities, 1), make((*arities, 2), 1)
        assert isinstance(later, CanTransfer)
        assert isinstance(other, CanTransfer)
        later.begin_with(policy)
        played.append(_play(later))
        _expect_input_error(partial(other.begin_with, policy), "a policy of other arities")
        _require(
            _play(other) == _play(make((*arities, 2), 1)), "a refused policy changed the asked"
        )
    _require(played[0] == played[1], "continuing altered the saved policy")


CHECKS = (
    check_tokens_in_range,
    check_determinism,
    check_any_order,
    check_bad_input,
    check_state_round_trip,
    check_foreign_state,
    check_choice_probabilities,
    check_transfer,
)


def _require(kept: bool, message: str) -> None:
    if not kept:  # not an assert statement: python -O removes those
        raise AssertionError(message)


@contextmanager
def _global_seed(seed: int) -> Iterator[None]:
    """Seed the global generators for a while: a controller must not use them."""
    before, numpys = random.getstate(), np.random.get_state()  # noqa: NPY002  the global generator on purpose
    random.seed(seed)
    np.random.seed(abs(seed))  # noqa: NPY002
    try:
        yield
    finally:
        random.setstate(before)
        np.random.set_state(numpys)  # noqa: NPY002


def _score(tokens: Tokens) -> float:
    return sum(tokens) / (1 + len(tokens))


def _play(controller: Controller) -> list[Tokens]:
    """Ask and tell some batches; return all proposals."""
    history: list[Tokens] = []
    for _ in range(ROUNDS):
        asked = controller.ask(BATCH)
        controller.tell([(tokens, _score(tokens)) for tokens in asked])
        history += asked
    return history


def _through_file(state: dict[str, Any]) -> dict[str, Any]:
    import torch  # here, so that importing controllers stays fast

    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    loaded: dict[str, Any] = torch.load(file, weights_only=True)
    return loaded


def _expect_input_error(call: Callable[[], object], what: str) -> None:
    try:
        call()
    except InputError:
        return
    raise AssertionError(f"{what} must raise InputError")
