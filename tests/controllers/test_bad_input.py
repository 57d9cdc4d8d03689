"""Every controller rejects invalid input with one line that shows the value."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from controllers import CONTROLLERS, make_controller
from controllers.evolution import RegularizedEvolution
from controllers.reinforce import Reinforce
from controllers.screened import Screened
from controllers.uniform import Uniform
from search_spaces.errors import InputError

ARITIES = (2, 3)


def refusal(call: Callable[[], object]) -> str:
    """The message of the InputError that ``call`` raises."""
    with pytest.raises(InputError) as caught:
        call()
    message = str(caught.value)
    assert message
    assert len(message.splitlines()) == 1, f"more than one line: {message}"
    return message


@pytest.mark.parametrize("n", [0, -1, 2.5, math.nan, "3", None])
@pytest.mark.parametrize("name", CONTROLLERS)
def test_ask(name: str, n: Any) -> None:
    assert str(n) in refusal(partial(make_controller(name, ARITIES, seed=0).ask, n))


@pytest.mark.parametrize(
    "tokens", [(), (0,), (0, 0, 0), (2, 0), (0, 3), (0, -1), (0.5, 0), (math.nan, 0), ("0", 0)]
)
@pytest.mark.parametrize("name", CONTROLLERS)
def test_tell_tokens(name: str, tokens: Any) -> None:
    controller = make_controller(name, ARITIES, seed=0)
    assert str(tokens) in refusal(lambda: controller.tell([((0, 0), 0.5), (tokens, 0.5)]))


@pytest.mark.parametrize(
    "score", [math.nan, math.inf, -math.inf, 1e200, None, "0.5", 10**400, np.ones(2), torch.ones(2)]
)
@pytest.mark.parametrize("name", CONTROLLERS)
def test_tell_score(name: str, score: Any) -> None:
    controller = make_controller(name, ARITIES, seed=0)
    message = refusal(lambda: controller.tell([((0, 0), 0.5), ((1, 2), score)]))
    assert "(1, 2)" in message
    assert repr(score) in message


@pytest.mark.parametrize("name", CONTROLLERS)
def test_a_batch_may_be_an_iterator_and_scores_of_any_kind(name: str) -> None:
    """An iterator is consumed once, not taken for an empty batch."""
    states = []
    for batch in (
        [((0, 0), 0.5), ((1, 2), 0.75)] * 10,
        zip([(0, 0), (1, 2)] * 10, np.float64([0.5, 0.75] * 10), strict=True),
        iter([((0, 0), torch.tensor(0.5)), ((1, 2), torch.tensor(0.75))] * 10),
    ):
        controller = make_controller(name, ARITIES, seed=0)
        controller.tell(batch)  # type: ignore[arg-type]
        controller.tell([((1, 1), 0.25)])
        states.append(controller.ask(20))
    assert states[0] == states[1] == states[2]


@pytest.mark.parametrize(
    "arities", [(), (2, 0), (-1,), (2.5,), (math.nan,), (math.inf,), ("2",), (None,)]
)
@pytest.mark.parametrize("name", CONTROLLERS)
def test_arities(name: str, arities: Any) -> None:
    assert str(arities) in refusal(lambda: make_controller(name, arities, seed=0))


@pytest.mark.parametrize("seed", [-1, 2**32, 1.5, None, "0"])
@pytest.mark.parametrize("name", CONTROLLERS)
def test_seed(name: str, seed: Any) -> None:
    assert repr(seed) in refusal(lambda: make_controller(name, ARITIES, seed=seed))


@pytest.mark.parametrize("name", CONTROLLERS)
def test_largest_seed_is_fine(name: str) -> None:
    assert len(make_controller(name, ARITIES, seed=2**32 - 1).ask(3)) == 3


@pytest.mark.parametrize("name", CONTROLLERS)
def test_name_and_options(name: str) -> None:
    refusal(lambda: make_controller(f"{name}x", ARITIES, seed=0))
    for reserved in ("seed", "arities", "self"):
        options = {reserved: 1}
        assert reserved in refusal(partial(make_controller, name, ARITIES, seed=0, options=options))


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("rnn", "learning_rate"),
        ("rnn", "entropy_weight"),
        ("rnn", "baseline_decay"),
        ("rnn", "advantage_clip"),
        ("rnn", "warmup"),
        ("rnn", "hidden"),
        ("rnn", "init_range"),
        ("rnn", "temperature"),
        ("rnn", "tanh_constant"),
        ("evolution", "population_size"),
        ("evolution", "sample_size"),
        ("screened", "proposals"),
        ("screened", "warmup"),
        ("screened", "learning_rate"),
        ("screened", "entropy_weight"),
    ],
)
@pytest.mark.parametrize("value", [True, "3", -1, math.nan, math.inf, [1]])
def test_numeric_options(name: str, option: str, value: object) -> None:
    make = partial(make_controller, name, ARITIES, seed=0, options={option: value})
    message = refusal(make)
    assert option in message
    assert repr(value) in message


@pytest.mark.parametrize(
    "option", ["learning_rate", "entropy_weight", "init_range", "temperature", "tanh_constant"]
)
def test_real_options_work_or_are_rejected(option: str) -> None:
    """The policy's numbers are 32 bits wide: a larger option must not surface later as NaN."""
    for value in (1e3, 1e6, 1e12, 1e30, 1e39, 1e300):
        try:
            controller = make_controller("rnn", ARITIES, seed=0, options={option: value})
        except InputError:
            continue
        for _ in range(4):
            asked = controller.ask(10)
            assert all(
                0 <= t < arity for tokens in asked for t, arity in zip(tokens, ARITIES, strict=True)
            )
            controller.tell([(tokens, 0.1 * sum(tokens)) for tokens in asked])


@pytest.mark.parametrize("name", CONTROLLERS)
def test_state_of_another_controller(name: str) -> None:
    states = [make_controller(other, ARITIES, seed=0).state_dict() for other in CONTROLLERS]
    for other, state in zip(CONTROLLERS, states, strict=True):
        if other != name:
            load = make_controller(name, ARITIES, seed=0).load_state_dict
            assert f"'{other}'" in refusal(partial(load, state))


def test_state_of_other_options() -> None:
    state = make_controller("rnn", ARITIES, seed=0, options={"warmup": 7}).state_dict()
    message = refusal(lambda: make_controller("rnn", ARITIES, seed=0).load_state_dict(state))
    assert "warmup" in message


CLASSES = (Uniform, RegularizedEvolution, Reinforce, Screened)


@pytest.mark.parametrize("make", CLASSES)
def test_classes_check_what_make_controller_checks(make: Any) -> None:
    for seed in (-1, 2**32, None, "0"):
        assert repr(seed) in refusal(lambda seed=seed: make(ARITIES, seed=seed))  # type: ignore[misc]
    for arities in (iter(()), 3, None, "23"):
        refusal(lambda arities=arities: make(arities, seed=0))  # type: ignore[misc]
    for arities in (iter(ARITIES), np.array(ARITIES), torch.tensor(ARITIES).tolist()):
        assert make(arities, seed=np.int64(0)).arities == ARITIES
    controller = make((3,), seed=0)
    assert "got 0 in 1" in refusal(lambda: controller.tell([(1, 0.5)]))
