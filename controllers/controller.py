"""The controller contract: ask for token sequences, tell what they scored.

A controller knows nothing of networks, devices or rewards. It sees ``arities`` (how many choices
each decision has) and scores (higher is better), and answers with one choice a decision.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from search_spaces.space import Tokens

__all__ = [
    "CanKeepWithin",
    "CanMergeAliases",
    "CanWarmUp",
    "Controller",
    "HasPolicy",
    "Scored",
    "Tokens",
]

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
        """Propose ``n`` sequences.

        Raises:
            InputError: ``n`` is below 1, or more than the controller gives at once, if it has such a limit.
        """
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


@runtime_checkable
class CanWarmUp(Protocol):
    """Optional capability: a policy that can be moved before the first trial."""

    def warm_up(self, score: Callable[[Tokens], float], *, enough: float) -> float:
        """Learn from a score that costs nothing, until half of what it draws scores ``enough``.

        To be called before the first ``ask`` and ``tell``, whose trials are not mixed with these: the
        scores may be of another unit. Of a score out of reach it gives up while it has choices left.

        Returns:
            The median score of what the policy now draws.
        """
        ...


@runtime_checkable
class CanKeepWithin(Protocol):
    """Optional capability: nothing is asked for that is known beforehand to be out of the question."""

    def keep_within(self, score: Callable[[Tokens], float], *, least: float) -> None:
        """Ask from now on for what scores ``least`` by a score that costs nothing.

        Where too little does, for what comes nearest. The score is not part of the state: give it
        again to a controller that has loaded one.
        """
        ...


@runtime_checkable
class CanMergeAliases(Protocol):
    """Optional capability: sequences that mean the same are known to be one."""

    def merge_aliases(self, canonical: Callable[[Tokens], Tokens]) -> None:
        """Take sequences of equal ``canonical`` for one from now on: none of them is asked for twice.

        Some choices may mean nothing beside others, such as the kernel of a block that has no layers.
        A model that does not know takes the copies of a lucky reading for many good readings.

        To be called before the first ``ask`` and ``tell``. It is not part of the state: give it again to
        a controller before it loads one.

        Args:
            canonical: Of all sequences that mean the same as its argument, always the same one.
        """
        ...
