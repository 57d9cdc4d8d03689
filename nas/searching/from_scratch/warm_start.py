"""Warm start: initialize trials with weights of trained networks.

Every trial starts from the most similar of the same given networks, never from another trial. So all trials
have trained equally long, and their accuracies are comparable.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Self

from nas.engine.folder.records import Record
from nas.searching.from_scratch.inheritance import most_similar, overlapping, source_tokens
from search_spaces import FactorizedSpace, InputError, SearchSpace, Tokens

if TYPE_CHECKING:
    import torch

    from nas.checkpoints.checkpoint import Checkpoint


class WarmStartMetadata(Record):
    """What identifies a network of a warm start: its tokens, and a digest of its weights."""

    tokens: tuple[int, ...]
    weights: str


@dataclass(frozen=True)
class WarmStart:
    """Trained networks of a space, from whose weights trials start.

    Attributes:
        space: The space that is searched.
        tokens: Tokens of each network.
        weights: State dict of each network.
    """

    space: FactorizedSpace
    tokens: tuple[Tokens, ...]
    weights: tuple[dict[str, torch.Tensor], ...]

    finalists_too: ClassVar[bool] = False

    @classmethod
    def of(cls, space: SearchSpace, seeds: Sequence[Checkpoint], *, classes: int) -> Self:
        """Create from checkpoints, whatever resolution they were trained at.

        Raises:
            InputError: A network has other classes or is not in the space, or the space cannot match
                layers.
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
        """Return a candidate's initial weights.

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

    def metadata(self) -> tuple[WarmStartMetadata, ...]:
        """Return what identifies each network."""
        from nas.checkpoints.torch_files import weights_digest  # imports torch

        return tuple(
            WarmStartMetadata(tokens=tokens, weights=weights_digest(weights))
            for tokens, weights in zip(self.tokens, self.weights, strict=True)
        )
