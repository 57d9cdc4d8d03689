"""MnasNet's factorized hierarchical search space, for any list of blocks."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from math import prod
from typing import Annotated, Any, Self

from pydantic import BaseModel, Field, model_validator

from search_spaces.errors import InputError
from search_spaces.field_types import Channels
from search_spaces.heads.specs import Head
from search_spaces.space import Tokens
from search_spaces.spaces.block_choices import DECISIONS, MODEL, BlockChoices, Chosen, chosen_layers
from search_spaces.spaces.membership import Matching, difference
from search_spaces.spec import ArchSpec, BlockSpec, StemSpec


class FactorizedSpace(BaseModel):
    """MnasNet's factorized hierarchical space: a fixed list of blocks, each searched separately.

    `resolution` in pixels and the head's `classes` are those of the decoded networks.
    """

    model_config = MODEL

    name: Annotated[str, Field(min_length=1)]
    bn_eps: Annotated[float, Field(gt=0)]
    stem: StemSpec
    blocks: Annotated[tuple[BlockChoices, ...], Field(min_length=1)]
    head: Head
    resolution: Channels

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.decisions:
            raise ValueError("no field has more than one choice: nothing to search")
        return self

    @cached_property
    def decisions(self) -> tuple[tuple[int, str], ...]:
        """Each decision as (block, field), block-major."""
        return tuple(
            (index, name)
            for index, block in enumerate(self.blocks)
            for name in DECISIONS
            if len(getattr(block, name)) > 1
        )

    @cached_property
    def arities(self) -> tuple[int, ...]:
        """Number of choices of each decision."""
        return tuple(len(getattr(self.blocks[index], name)) for index, name in self.decisions)

    @property
    def labels(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Each decision's name and its choices' names: `("block 0 op", ("conv", "sepconv", ...))`."""
        return tuple(
            (f"block {index} {name}", tuple(map(str, getattr(self.blocks[index], name))))
            for index, name in self.decisions
        )

    def with_head(self, headed: Callable[[ArchSpec], ArchSpec]) -> Self:
        """Return the space of the same networks with another head, and the dilation that comes with it.

        >>> from search_spaces import load_space
        >>> from search_spaces.heads.named import with_head
        >>> space = load_space("mnasnet").with_head(lambda spec: with_head(spec, "lraspp"))
        >>> space.decode((0,) * 42) == with_head(load_space("mnasnet").decode((0,) * 42), "lraspp")
        True

        Args:
            headed: Gives a network its head; it may also change strides and dilations of blocks.

        Raises:
            InputError: It changes widths, which are the space's decisions.
        """
        tokens = tuple(
            _deepest(getattr(self.blocks[at], name), name) for at, name in self.decisions
        )
        spec = headed(self.decode(tokens))
        firsts = {at: layer for layer, (at, place) in enumerate(self.places(tokens)) if place == 0}
        blocks = tuple(
            block.model_copy(
                update={
                    "stride": spec.blocks[firsts[at]].stride,
                    "dilation": spec.blocks[firsts[at]].dilation,
                }
            )
            for at, block in enumerate(self.blocks)
        )
        # Made anew, since a copy would keep the cached properties.
        space = type(self)(
            name=self.name,
            bn_eps=self.bn_eps,
            stem=self.stem,
            blocks=blocks,
            head=spec.head,
            resolution=self.resolution,
        )
        if space.decode(tokens) != spec:
            raise InputError(
                f"space {self.name} decides the widths of its last stage, which this head changes too: "
                "give a head without half or rf2"
            )
        return space

    @property
    def size(self) -> int:
        """Number of token sequences (several may decode to the same network)."""
        return prod(self.arities)

    def decode(self, tokens: Tokens) -> ArchSpec:
        """Build the spec of a token sequence.

        >>> from search_spaces import load_space
        >>> space = load_space("mnasnet")
        >>> len(space.arities), space.size == 432**7
        (42, True)
        >>> len(space.decode((0,) * 42).blocks)
        10

        Raises:
            InputError: Wrong number of tokens, or one out of range.
        """
        chosen = self._chosen(tokens)
        channels = self.stem.out
        layers: list[BlockSpec] = []
        for index, choices in enumerate(chosen):
            layers += self._layers(index, choices, channels)
            channels = layers[-1].out if layers else channels
        return ArchSpec(
            resolution=self.resolution,
            bn_eps=self.bn_eps,
            stem=self.stem,
            blocks=tuple(layers),
            head=self.head,
        )

    def places(self, tokens: Tokens) -> tuple[tuple[int, int], ...]:
        """Return, for each layer of `decode(tokens)`, its block in the space and its position in the block.

        >>> from search_spaces import load_space
        >>> load_space("mnasnet").places((0,) * 42)[:4]  # block 0 has depth 0
        ((1, 0), (2, 0), (2, 1), (3, 0))

        Raises:
            InputError: See `decode`.
        """
        return tuple(
            (index, position)
            for index, choices in enumerate(self._chosen(tokens))
            for position in range(choices["depth"])
        )

    def encode(self, spec: ArchSpec) -> Tokens:
        """Return the first token sequence, in lexicographic order, that decodes to `spec`.

        Raises:
            InputError: The network is not in the space; the message names the first misfit.
        """
        for part in ("stem", "bn_eps", "head", "resolution"):
            ours, theirs = getattr(self, part), getattr(spec, part)
            if ours != theirs:
                raise InputError(f"not in space {self.name}: {difference(part, theirs, ours)}")
        matching = Matching(self.blocks, spec)
        found = matching.tokens()
        if found is None:
            raise InputError(f"not in space {self.name}: {matching.reason()}")
        return found

    @cached_property
    def _memo(self) -> dict[tuple[Any, ...], list[BlockSpec]]:
        return {}

    def _layers(self, index: int, choices: Chosen, channels: int) -> list[BlockSpec]:
        """Return a block's layers, memoized: the networks of a space share blocks."""
        key = (index, channels, *choices.values())
        if key not in self._memo:
            self._memo[key] = chosen_layers(self.blocks[index], choices, channels)
        return self._memo[key]

    def _chosen(self, tokens: Tokens) -> list[Chosen]:
        """Return the value of every field, for each block."""
        if len(tokens) != len(self.arities):
            raise InputError(
                f"space {self.name} takes {len(self.arities)} tokens, got {len(tokens)}"
            )
        chosen = [{name: getattr(block, name)[0] for name in DECISIONS} for block in self.blocks]
        for (index, name), token, arity in zip(self.decisions, tokens, self.arities, strict=True):
            if not 0 <= token < arity:
                raise InputError(
                    f"block {index} {name}: token must be in 0..{arity - 1}, got {token}"
                )
            chosen[index][name] = getattr(self.blocks[index], name)[token]
        return chosen


def _deepest(choices: tuple[Any, ...], name: str) -> int:
    """Return the token of the largest depth, so that every block has a layer; else the first."""
    return choices.index(max(choices)) if name == "depth" else 0
