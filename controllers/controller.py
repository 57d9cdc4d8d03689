"""The controller contract: ask for token sequences, tell their scores.

A controller knows nothing about networks, devices or rewards. It sees ``arities`` (the number of choices of
each decision) and scores (higher is better), and proposes one choice per decision.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from controllers.saved_policy import SavedPolicy
from search_spaces.space import Tokens

__all__ = [
    "CanConstrain",
    "CanMergeAliases",
    "CanTransfer",
    "CanWarmUp",
    "Controller",
    "HasPolicy",
    "Scored",
    "Tokens",
]

Scored = Sequence[tuple[Tokens, float]]


class Controller(Protocol):
    """An ask/tell policy over token sequences.

    ``ask`` and ``tell`` may come in any order: two asks before a tell (a batch in flight), a tell before
    any ask (replay), a tell of sequences never asked for (trials of another search). Proposals are a
    function of the seed and the calls so far, and of nothing else.
    """

    @property
    def arities(self) -> tuple[int, ...]:
        """Number of choices of each decision."""
        ...

    def ask(self, n: int) -> list[Tokens]:
        """Propose ``n`` sequences.

        Raises:
            InputError: ``n`` is below 1, or above the controller's limit, if it has one.
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
        """Return a snapshot of everything the next calls depend on, fit for ``weights_only`` loading."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue exactly where ``state`` was taken.

        Raises:
            InputError: the state belongs to another controller, other arities or other options.
        """
        ...


@runtime_checkable
class HasPolicy(Protocol):
    """Optional capability: report the current policy."""

    def choice_probabilities(self) -> list[list[float]]:
        """Return the marginal probability of each choice, one row per decision; does not affect ``ask``."""
        ...


@runtime_checkable
class CanTransfer(Protocol):
    """Optional capability: pass the policy on to another search, and begin with an earlier one's."""

    def saved_policy(self) -> SavedPolicy:
        """Return a copy of the policy; does not affect ``ask``."""
        ...

    def begin_with(self, policy: SavedPolicy) -> None:
        """Take over a policy; nothing else of the earlier search is known to this one.

        Call it before the first ``ask`` and ``tell``, and before ``warm_up``.

        Raises:
            InputError: the policy is of another space or another kind, or it is damaged; the controller is
                then unchanged.
        """
        ...


@runtime_checkable
class CanWarmUp(Protocol):
    """Optional capability: train the policy on a free score before the first trial."""

    def warm_up(self, score: Callable[[Tokens], float], *, enough: float) -> float:
        """Train until half of the policy's samples score ``enough``.

        Call it before the first ``ask`` and ``tell``. The score may have another unit than rewards, and is
        not mixed with them. If it is out of reach, training stops while the policy is still undecided.

        Returns:
            The median score of the policy's samples.
        """
        ...


@runtime_checkable
class CanConstrain(Protocol):
    """Optional capability: propose only sequences that satisfy a free constraint."""

    def constrain(self, score: Callable[[Tokens], float], *, least: float) -> None:
        """Propose only sequences that score at least ``least``, or the nearest ones if there are too few.

        The score is not part of the state: set it again after loading one.
        """
        ...


@runtime_checkable
class CanMergeAliases(Protocol):
    """Optional capability: treat equivalent sequences as one."""

    def merge_aliases(self, canonical: Callable[[Tokens], Tokens]) -> None:
        """Treat sequences with equal ``canonical`` as one, and ask for it only once.

        Some choices have no effect, such as the kernel of a block without layers. A surrogate unaware of it
        counts the aliases of one lucky result as many good results.

        Call it before the first ``ask`` and ``tell``. It is not part of the state: set it again before
        loading one.

        Args:
            canonical: returns the same sequence for all sequences that describe one network.
        """
        ...
