"""Decide whether a network is in a space: split its layers into the space's blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, is_dataclass
from functools import lru_cache

from search_spaces.space import Tokens
from search_spaces.spaces.block_choices import BlockChoices, block_options, chosen_layers
from search_spaces.spec import ArchSpec, BlockSpec


class Matching:
    """Splits the layers of `spec` into `blocks` by depth-first search.

    The split is not unique (a block of depth 0 fits before any other), so the lexicographically first
    tokens are returned.
    """

    def __init__(self, blocks: Sequence[BlockChoices], spec: ArchSpec) -> None:
        self.blocks, self.layers, self.widths = blocks, spec.blocks, spec.widths()
        self.tried: list[tuple[int, int]] = []  # (layer, block) of every attempt
        self.dead: set[tuple[int, int]] = set()

    def tokens(self) -> Tokens | None:
        """Return the tokens of the network; None if it does not fit."""
        return self._match(0, 0)

    def _match(self, block_index: int, start: int) -> Tokens | None:
        """Return tokens of the blocks from `block_index` on that produce the layers from `start` on."""
        if block_index == len(self.blocks):
            return () if start == len(self.layers) else None
        if (block_index, start) in self.dead:
            return None
        self.tried.append((start, block_index))
        block = self.blocks[block_index]
        by_layers = _first_tokens(block, self.widths[start])
        ends = [start + depth for depth in block.depth if start + depth <= len(self.layers)]
        fitting = [
            (tokens, end)
            for end in ends
            if (tokens := by_layers.get(tuple(self.layers[start:end]))) is not None
        ]
        for tokens, end in sorted(fitting):
            rest = self._match(block_index + 1, end)
            if rest is not None:
                return (*tokens, *rest)
        self.dead.add((block_index, start))
        return None

    def reason(self) -> str:
        """Explain why no split fits: the last layer that the search reached, and its block.

        Of several blocks that could start there, prefer one with the layer's width.
        """
        start = max(layer for layer, _ in self.tried)
        indices = [block for layer, block in self.tried if layer == start]
        if start < len(self.layers):
            out = self.layers[start].out
            indices.sort(key=lambda block: (out not in self.blocks[block].out, block))
        index = indices[0]
        if start == len(self.layers):
            return f"it ends after {start} layers, before block {index}"
        layer, block = self.layers[start], self.blocks[index]
        at = f"layer {start} (block {index} of the space)"
        if layer.out not in block.out:
            return f"{at} has out {layer.out}, not one of {list(block.out)}"
        if layer.kernel not in block.kernel:
            return f"{at} has kernel {layer.kernel}, not one of {list(block.kernel)}"
        shown = {name: value for name, value in asdict(layer).items() if name != "dilation"}
        fields_ = ", ".join(f"{name} {value}" for name, value in shown.items())
        return f"no choices of block {index} produce the layers from {at} on: {fields_}"


def difference(part: str, theirs: object, ours: object) -> str:
    """Describe the differences between a part of a network and the space's.

    >>> difference("resolution", 96, 224)
    'resolution is 96, the space has 224'
    """
    if type(theirs) is not type(ours) or not is_dataclass(theirs):
        return f"{part} is {theirs}, the space has {ours}"
    pairs = [
        (f"{part} {field.name}", getattr(theirs, field.name), getattr(ours, field.name))
        for field in fields(theirs)
    ]
    return "; ".join(difference(name, one, other) for name, one, other in pairs if one != other)


@lru_cache(maxsize=256)
def _first_tokens(block: BlockChoices, channels: int) -> Mapping[tuple[BlockSpec, ...], Tokens]:
    """Map every possible sequence of a block's layers to the first tokens that produce it."""
    first: dict[tuple[BlockSpec, ...], Tokens] = {}
    for tokens, choices in block_options(block):
        first.setdefault(tuple(chosen_layers(block, choices, channels)), tokens)
    return first
