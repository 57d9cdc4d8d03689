"""The controller contract: ask for token sequences, tell what they scored.

A controller knows nothing of networks, devices or rewards. It sees ``arities`` (how many choices
each decision has) and scores (higher is better), and answers with one choice a decision.
"""

import copy
import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeVar, runtime_checkable

from search_spaces.errors import InputError

Tokens = tuple[int, ...]
Scored = Sequence[tuple[Tokens, float]]


class Controller(Protocol):
    """An ask/tell policy over token sequences.

    ``ask`` and ``tell`` may come in any order: twice asked before told (a batch in flight), told
    before ever asked (replay), told tokens that nobody asked for (somebody else's trials). What is
    asked next is a function of the seed and of the calls so far, and of nothing else.
    """

    @property
    def arities(self) -> tuple[int, ...]:
        """Number of choices of each decision."""
        ...

    def ask(self, n: int) -> list[Tokens]:
        """Propose ``n`` sequences; raises InputError unless ``n >= 1``."""
        ...

    def tell(self, scored: Scored) -> None:
        """Learn from one batch of (tokens, score) pairs, in order; higher scores are better.

        Raises:
            InputError: tokens of the wrong length or out of range, or a score that is not finite;
                the controller is then unchanged.
        """
        ...

    def state_dict(self) -> dict[str, Any]:
        """Snapshot of everything the next calls depend on, fit for ``weights_only`` loading."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue exactly where ``state`` was taken.

        Raises:
            InputError: the state is of another controller, other arities or other options.
        """
        ...


@runtime_checkable
class HasPolicy(Protocol):
    """Optional capability: a controller that can say what it now prefers."""

    def choice_probabilities(self) -> list[list[float]]:
        """Marginal probability of each choice, one row a decision; leaves ``ask`` undisturbed."""
        ...


def checked_arities(arities: Sequence[int]) -> tuple[int, ...]:
    """The arities as a tuple of ints.

    Raises:
        InputError: there is no decision, or one without a choice.

    >>> checked_arities([4, 2])
    (4, 2)
    """
    if not arities or any(arity < 1 for arity in arities):
        raise InputError(
            f"arities must be one or more integers of at least 1, got {tuple(arities)}: "
            "give the number of choices of each decision"
        )
    return tuple(int(arity) for arity in arities)


Number = TypeVar("Number", int, float)


def checked_option(
    name: str, value: Number, *, low: float = -math.inf, high: float = math.inf
) -> Number:
    """An option's value.

    Raises:
        InputError: not a number, or outside [low, high].

    >>> checked_option("hidden", 0, low=1)
    Traceback (most recent call last):
        ...
    search_spaces.errors.InputError: option hidden must be a number from 1 to inf, got 0: ...
    """
    if not isinstance(value, int | float) or not low <= value <= high:
        raise InputError(
            f"option {name} must be a number from {low} to {high}, got {value!r}: "
            "change it or leave it out for the default"
        )
    return value


def checked_count(n: int) -> int:
    """``n`` itself if that many sequences can be asked for, else InputError."""
    if n < 1:
        raise InputError(f"ask(n) needs n of at least 1, got {n}: ask for one or more sequences")
    return n


def checked_tokens(tokens: Sequence[int], arities: tuple[int, ...]) -> Tokens:
    """The tokens as a tuple of ints.

    Raises:
        InputError: wrong length, or a token outside its decision's range.

    >>> checked_tokens([3, 0], (4, 2))
    (3, 0)
    >>> checked_tokens((3, 2), (4, 2))
    Traceback (most recent call last):
        ...
    search_spaces.errors.InputError: token 2 of decision 1 is out of range in (3, 2): ...
    """
    if len(tokens) != len(arities):
        raise InputError(
            f"expected {len(arities)} tokens, got {len(tokens)} in {tuple(tokens)}: "
            "give one token a decision"
        )
    for position, (token, arity) in enumerate(zip(tokens, arities, strict=True)):
        if token not in range(arity):
            raise InputError(
                f"token {token!r} of decision {position} is out of range in {tuple(tokens)}: "
                f"give an integer from 0 to {arity - 1}"
            )
    return tuple(int(token) for token in tokens)


def checked_scored(scored: Scored, arities: tuple[int, ...]) -> list[tuple[Tokens, float]]:
    """A whole told batch, validated before any of it is used.

    Raises:
        InputError: as ``checked_tokens``, or a score that is not finite.
    """
    for tokens, score in scored:
        if not math.isfinite(score):
            raise InputError(
                f"the score of {tuple(tokens)} must be finite, got {score}: "
                "tell a failed trial as 0.0"
            )
    return [(checked_tokens(tokens, arities), float(score)) for tokens, score in scored]


def stamped(stamp: Mapping[str, Any], content: Mapping[str, Any]) -> dict[str, Any]:
    """A state dict: ``content`` copied, so that it stays a snapshot, under the owner's stamp."""
    return {"made_by": dict(stamp), **copy.deepcopy(dict(content))}


def checked_state(state: Mapping[str, Any], stamp: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of ``state`` if it carries the same stamp.

    Raises:
        InputError: it was saved by another kind of controller, or with other arities or options.
    """
    if state.get("made_by") != stamp:
        raise InputError(
            f"controller state was saved by {state.get('made_by')}, not by {dict(stamp)}: "
            "load it into a controller of the same kind, arities and options"
        )
    return copy.deepcopy(dict(state))
