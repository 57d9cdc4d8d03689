"""A policy as plain data, with which another search can begin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from search_spaces.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor  # `import controllers` must not load torch

SHOWN_ARITIES = 8


@dataclass(frozen=True)
class SavedPolicy:
    """A policy as it was at some point of a search.

    Attributes:
        arities: number of choices of each decision.
        options: options of the controller that the weights depend on, such as ``hidden``.
        weights: state dict of the policy.
    """

    arities: tuple[int, ...]
    options: Mapping[str, Any]
    weights: Mapping[str, Tensor]

    def require(self, own: SavedPolicy) -> None:
        """Check that a controller whose policy is ``own`` can begin with this one.

        Raises:
            InputError: the decisions or an option differ, or the weights are damaged.

        >>> SavedPolicy((2, 3), {"hidden": 8}, {}).require(SavedPolicy((2, 3), {"hidden": 100}, {}))
        Traceback (most recent call last):
            ...
        search_spaces.errors.InputError: the policy has hidden 8, and this controller 100: ...
        """
        if self.arities != own.arities:
            raise InputError(
                f"the policy has {_listed(self.arities)}, and this space {_listed(own.arities)}: give the "
                "policy of a search of the same space, or leave it out"
            )
        for name in sorted({*self.options, *own.options}):
            theirs, ours = self.options.get(name), own.options.get(name)
            if theirs != ours:
                raise InputError(
                    f"the policy has {name} {theirs}, and this controller {ours}: use the controller rnn "
                    f"with the option {name} {theirs}, or leave the policy out"
                )
        if self.weights.keys() != own.weights.keys() or not all(
            given.shape == own.weights[name].shape and bool(given.isfinite().all())
            for name, given in self.weights.items()
        ):
            raise InputError(
                "the policy's weights are damaged: restore them, or leave the policy out"
            )


def _listed(arities: tuple[int, ...]) -> str:
    """Format the arities of a few decisions.

    >>> _listed((2,) * 12)
    '12 decisions of 2, 2, 2, 2, 2, 2, 2, 2, ... choices'
    """
    more = ", ..." if len(arities) > SHOWN_ARITIES else ""
    return (
        f"{len(arities)} decisions of {', '.join(map(str, arities[:SHOWN_ARITIES]))}{more} choices"
    )
