"""One searched block: its choices as data, and the layers they produce."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from search_spaces.field_types import Act, Channels, Dilation, Kernel, Optional0, Skip, Stride
from search_spaces.space import Tokens
from search_spaces.spec import BlockSpec
from search_spaces.widths import make_divisible

Chosen = dict[str, Any]
"""A value for each of `DECISIONS`."""


def _choices(value: object) -> tuple[object, ...]:
    """Wrap a single value as the only choice."""
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def _distinct(values: tuple[Any, ...]) -> tuple[Any, ...]:
    if len(set(values)) != len(values):
        raise ValueError(f"choices must be distinct, got {list(values)}")
    return values


MODEL = ConfigDict(frozen=True, extra="forbid", strict=True)
_OP = re.compile(r"conv|sepconv|mbconv(\d+(\.\d+)?)")

_Ratio = Annotated[float, Field(ge=0, le=1)]


class BlockChoices(BaseModel):
    """One searched block (a stage of similar layers): each field is one value or a list of choices.

    Attributes:
        stride: Stride of the first layer; the others have 1.
        op: `conv`, `sepconv`, or `mbconvR` with the expansion ratio R.
        kernel: Side of the (depthwise) kernel.
        se: Squeeze-and-excite ratio, 0 for none.
        skip: Skip of every layer that allows it: `identity` needs stride 1 and equal widths, `pool` equal
            widths.
        out: Output channels.
        depth: Number of layers; 0 removes the block (only with stride 1).
        act: Activation.
        se_rule: `mnasnet`: ratio of the layer's input, sigmoid; `mobilenetv3`: ratio of the
            expanded channels in multiples of 8, hard sigmoid.
        dilation: Of the (depthwise) convolutions of all layers.
    """

    model_config = MODEL

    stride: Stride
    op: Annotated[tuple[str, ...], BeforeValidator(_choices), Field(min_length=1)]
    kernel: Annotated[tuple[Kernel, ...], BeforeValidator(_choices), Field(min_length=1)]
    se: Annotated[tuple[_Ratio, ...], BeforeValidator(_choices), Field(min_length=1)]
    skip: Annotated[tuple[Skip, ...], BeforeValidator(_choices), Field(min_length=1)]
    out: Annotated[tuple[Channels, ...], BeforeValidator(_choices), Field(min_length=1)]
    depth: Annotated[tuple[Optional0, ...], BeforeValidator(_choices), Field(min_length=1)]
    act: Annotated[tuple[Act, ...], BeforeValidator(_choices), Field(min_length=1)]
    se_rule: Literal["mnasnet", "mobilenetv3"]
    dilation: Dilation = 1

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name in DECISIONS:
            _distinct(getattr(self, name))
        for op in self.op:
            if not _OP.fullmatch(op) or (op.startswith("mbconv") and _ratio(op) == 0):
                raise ValueError(f"op must be conv, sepconv or mbconv<ratio>, got {op!r}")
        if any(kernel % 2 == 0 for kernel in self.kernel):
            raise ValueError(f"kernel must be odd, got {list(self.kernel)}")
        if 0 in self.depth and self.stride != 1:
            raise ValueError("depth 0 needs stride 1: removing the block would remove its stride")
        return self


DECISIONS = ("op", "kernel", "se", "skip", "out", "depth", "act")
"""Order of a block's decisions; a field with a single choice is not a decision."""


def chosen_layers(block: BlockChoices, choices: Chosen, channels: int) -> list[BlockSpec]:
    """Return the layers of a block with given choices and input `channels`."""
    layers: list[BlockSpec] = []
    for index in range(choices["depth"]):
        stride = block.stride if index == 0 else 1
        layers.append(_layer(choices, block, channels, stride))
        channels = choices["out"]
    return layers


def _ratio(op: str) -> float:
    """Return the expansion ratio of `mbconvR`."""
    return float(op.removeprefix("mbconv"))


def _layer(choices: Chosen, block: BlockChoices, cin: int, stride: Stride) -> BlockSpec:
    op, out, skip = choices["op"], choices["out"], choices["skip"]
    ratio = _ratio(op) if op.startswith("mbconv") else 0.0
    expand = max(1, round(cin * ratio)) if ratio else 0
    possible = cin == out and (skip == "pool" or stride == 1)
    se = 0
    if choices["se"]:
        inner = {"conv": out, "sepconv": cin}.get(op, expand)
        by_input = block.se_rule == "mnasnet"
        se = max(1, int(cin * choices["se"])) if by_input else make_divisible(inner * choices["se"])
    return BlockSpec(
        op="mbconv" if ratio else op,
        kernel=choices["kernel"],
        stride=stride,
        expand=expand,
        out=out,
        se=se,
        gate="none" if not se else "sigmoid" if block.se_rule == "mnasnet" else "hsigmoid",
        act=choices["act"],
        linear=op != "conv",
        skip=skip if possible else "none",
        dilation=block.dilation,
    )


def block_options(block: BlockChoices) -> Iterator[tuple[Tokens, Chosen]]:
    """Yield every setting of a block in lexicographic order: tokens and field values."""
    fields = [getattr(block, name) for name in DECISIONS]
    free = [i for i, values in enumerate(fields) if len(values) > 1]
    for picks in product(*(range(len(values)) for values in fields)):
        values = {name: fields[i][picks[i]] for i, name in enumerate(DECISIONS)}
        yield tuple(picks[i] for i in free), values
