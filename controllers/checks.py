"""Validation of a controller's input: one-line errors that show the value."""

import copy
import math
from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral, Real
from typing import Any, SupportsFloat

from controllers.controller import Scored, Tokens
from search_spaces.errors import InputError

FIX = "change it, or leave it out for the default"
LARGEST_OPTION = 1e6  # the policy's 32-bit numbers overflow near 1e38
LARGEST_WHOLE = 100_000  # sequences in memory at once
LARGEST_SCORE = 1e100  # its square is still finite
LARGEST_SEED = 2**32 - 1  # a torch CPU generator ignores further bits


def checked_arities(arities: Sequence[int]) -> tuple[int, ...]:
    """Return the arities as a tuple of ints.

    Raises:
        InputError: there are no decisions, or one has no choice.

    >>> checked_arities([4, 2])
    (4, 2)
    """
    given = _as_tuple(arities)
    if not given or any(not isinstance(arity, Integral) or arity < 1 for arity in given):
        raise InputError(
            f"arities must be one or more integers of at least 1, got {given or arities}: "
            "give the number of choices of each decision"
        )
    return tuple(int(arity) for arity in given)


def _as_tuple(given: object) -> tuple[Any, ...]:
    """Convert an iterable to a tuple; anything else to an empty one."""
    return tuple(given) if isinstance(given, Iterable) else ()


def checked_seed(seed: int) -> int:
    """Return ``seed`` if every generator accepts it, else raise InputError."""
    if not isinstance(seed, Integral) or not 0 <= seed <= LARGEST_SEED:
        raise InputError(
            f"seed must be a whole number from 0 to {LARGEST_SEED}, got {seed!r}: choose another"
        )
    return int(seed)


def checked_real(
    name: str, value: float, *, low: float = 0.0, high: float = LARGEST_OPTION
) -> float:
    """Return an option's value.

    Raises:
        InputError: it is not a number, or outside [low, high].

    >>> checked_real("baseline_decay", 1.5, high=1.0)
    Traceback (most recent call last):
        ...
    search_spaces.errors.InputError: option baseline_decay must be a number from 0.0 to 1.0, got 1.5: ...
    """
    # YAML's `yes` is True, which Python counts as the integer 1. NaN fails the comparison.
    if isinstance(value, bool) or not isinstance(value, Real) or not low <= value <= high:
        raise InputError(
            f"option {name} must be a number from {low} to {high}, got {value!r}: {FIX}"
        )
    return float(value)


def checked_whole(name: str, value: int) -> int:
    """Return an option's value; raise InputError unless it is an integer from 1 to ``LARGEST_WHOLE``."""
    if (
        isinstance(value, bool)
        or not isinstance(value, Integral)
        or not 1 <= value <= LARGEST_WHOLE
    ):
        raise InputError(
            f"option {name} must be a whole number from 1 to {LARGEST_WHOLE}, got {value!r}: {FIX}"
        )
    return int(value)


def checked_flag(name: str, value: bool) -> bool:
    """Return an option's value; raise InputError unless it is True or False."""
    if not isinstance(value, bool):
        raise InputError(f"option {name} must be True or False, got {value!r}: {FIX}")
    return value


def checked_count(n: int) -> int:
    """Return ``n`` if it is a positive integer, else raise InputError."""
    if not isinstance(n, Integral) or n < 1:
        raise InputError(
            f"ask(n) needs a whole n of at least 1, got {n!r}: ask for one or more sequences"
        )
    return int(n)


def checked_tokens(tokens: Sequence[int], arities: tuple[int, ...]) -> Tokens:
    """Return the tokens as a tuple of ints.

    Raises:
        InputError: wrong length, or a token outside its decision's range.

    >>> checked_tokens([3, 0], (4, 2))
    (3, 0)
    >>> checked_tokens((3, 2), (4, 2))
    Traceback (most recent call last):
        ...
    search_spaces.errors.InputError: token 2 of decision 1 is out of range in (3, 2): ...
    """
    given = _as_tuple(tokens)
    if len(given) != len(arities):
        raise InputError(
            f"expected {len(arities)} tokens, got {len(given)} in {given or tokens!r}: "
            "give one token per decision"
        )
    for position, (token, arity) in enumerate(zip(given, arities, strict=True)):
        if token not in range(arity):
            raise InputError(
                f"token {token!r} of decision {position} is out of range in {given}: "
                f"give an integer from 0 to {arity - 1}"
            )
    return tuple(int(token) for token in given)


def checked_scored(scored: Scored, arities: tuple[int, ...]) -> list[tuple[Tokens, float]]:
    """Validate a batch as a whole.

    Raises:
        InputError: a score is not finite; or see ``checked_tokens``.
    """
    batch = [(tokens, score, _as_float(score)) for tokens, score in scored]
    for tokens, score, value in batch:
        if not abs(value) <= LARGEST_SCORE:
            raise InputError(
                f"the score of {_as_tuple(tokens)} must be finite, got {score!r}: tell a failed trial as "
                "0.0, or as the lowest score so far where scores may be negative"
            )
    return [(checked_tokens(tokens, arities), value) for tokens, _, value in batch]


def _as_float(score: object) -> float:
    """Convert a number, or an array or tensor of one, to a float; anything else to NaN.

    >>> _as_float(1), _as_float("1"), _as_float(10**400)
    (1.0, nan, nan)
    """
    if not isinstance(score, SupportsFloat):  # a str is not one
        return math.nan
    try:
        return float(score)
    except (TypeError, ValueError, RuntimeError, OverflowError):  # several numbers, or too large
        return math.nan


def plain(options: Mapping[str, Any]) -> dict[str, Any]:
    """Convert numpy numbers in options to Python's; a state must not contain numpy's.

    >>> import numpy as np
    >>> plain({"learning_rate": np.float64(0.5), "normalize": True, "temperature": None})
    {'learning_rate': 0.5, 'normalize': True, 'temperature': None}
    """
    return {
        name: value.item() if hasattr(value, "item") else value for name, value in options.items()
    }


def stamped(stamp: Mapping[str, Any], content: Mapping[str, Any]) -> dict[str, Any]:
    """Make a state dict: a deep copy of ``content`` with the owner's stamp."""
    return {"made_by": dict(stamp), **copy.deepcopy(dict(content))}


def checked_state(state: Mapping[str, Any], stamp: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of ``state`` if it has the same stamp.

    Raises:
        InputError: it was saved by another kind of controller, or with other arities or options.
    """
    if state.get("made_by") != stamp:
        raise InputError(
            f"controller state was saved by {state.get('made_by')}, not by {dict(stamp)}: "
            "load it into a controller of the same kind, arities and options"
        )
    return copy.deepcopy(dict(state))
