"""Trials that begin with the weights of trained networks instead of drawn ones.

All trials begin with the same given networks' weights, each with those of the one most like it; no trial
begins with another trial's. So all have trained as long as all others, and their accuracies compare.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from nas.searching.inheritance import most_similar, overlapping, source_tokens
from search_spaces import FactorizedSpace, InputError, SearchSpace, Tokens

if TYPE_CHECKING:
    import torch

    from nas.checkpoints.checkpoint import Checkpoint


@dataclass(frozen=True)
class WarmStart:
    """Trained networks of a space, from whose weights trials begin.

    Attributes:
        space: The space that is searched.
        tokens: Of each network.
        weights: The state dict of each.
    """

    space: FactorizedSpace
    tokens: tuple[Tokens, ...]
    weights: tuple[dict[str, torch.Tensor], ...]

    @classmethod
    def of(cls, space: SearchSpace, seeds: Sequence[Checkpoint], *, classes: int) -> Self:
        """From seeds, at whatever resolution they were trained.

        Raises:
            InputError: One is of other classes or not in the space, or the space cannot match layers.
        """
        if not isinstance(space, FactorizedSpace):
            raise InputError(
                f"space {space.name} does not tell which layers match: a warm start needs one that "
                "load_space gives"
            )
        specs = [replace(seed.spec, resolution=space.resolution) for seed in seeds]
        tokens = tuple(source_tokens(space, spec, classes=classes) for spec in specs)
        return cls(space, tokens, tuple(seed.weights for seed in seeds))

    def state_dict(self, child: Tokens, *, generator: torch.Generator) -> dict[str, torch.Tensor]:
        """A candidate's first weights.

        Args:
            child: The candidate's tokens.
            generator: Draws what the most similar network lacks.
        """
        index = most_similar(child, self.tokens)
        assert index is not None
        parent = self.tokens[index]
        return overlapping(
            self.space.decode(parent),
            self.weights[index],
            self.space.decode(child),
            parent_places=self.space.places(parent),
            child_places=self.space.places(child),
            generator=generator,
        )

    def metadata(self) -> list[dict[str, Any]]:
        """What tells one warm start from another, as plain data."""
        return [
            {"tokens": list(tokens), "weights": _digest(weights)}
            for tokens, weights in zip(self.tokens, self.weights, strict=True)
        ]


def _digest(weights: dict[str, torch.Tensor]) -> str:
    digest = hashlib.sha256()
    for name, tensor in weights.items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
