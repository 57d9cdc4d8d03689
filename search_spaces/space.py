"""Search spaces: token sequences to networks and back, with the choices as data.

A space is a YAML file; `spaces/mnasnet.yaml` is the built-in one and the example to follow.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from importlib import resources
from itertools import product
from math import prod
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol, Self

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from search_spaces.errors import InputError, first_problem
from search_spaces.references import make_divisible
from search_spaces.spec import (
    SCHEMA,
    Act,
    ArchSpec,
    BlockSpec,
    Channels,
    HeadSpec,
    Kernel,
    Optional0,
    Skip,
    StemSpec,
    Stride,
    read_yaml,
)

Tokens = tuple[int, ...]
"""One choice a decision, block-major: all decisions of the first block, then of the second, ..."""

SPACES = {"mnasnet": "mnasnet.yaml"}
"""The built-in spaces by name, and their files beside this one."""


class SearchSpace(Protocol):
    """What a search needs of a space."""

    @property
    def name(self) -> str:
        """For people."""
        ...

    @property
    def arities(self) -> tuple[int, ...]:
        """Number of choices of each decision."""
        ...

    def decode(self, tokens: Tokens) -> ArchSpec:
        """The network of a token sequence; total on in-range tokens."""
        ...

    def encode(self, spec: ArchSpec) -> Tokens:
        """Tokens of a network of the space, so that `decode(encode(s)) == s`.

        Raises:
            InputError: The network is not in the space.
        """
        ...

    @property
    def labels(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Each decision's name and its choices' names, for people."""
        ...


def _choices(value: object) -> tuple[object, ...]:
    """A list of choices, or a single value as the only one."""
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def _distinct(values: tuple[Any, ...]) -> tuple[Any, ...]:
    if len(set(values)) != len(values):
        raise ValueError(f"the same choice twice, got {list(values)}")
    return values


_MODEL = ConfigDict(frozen=True, extra="forbid", strict=True)
_OP = re.compile(r"conv|sepconv|mbconv(\d+(\.\d+)?)")

_Ratio = Annotated[float, Field(ge=0, le=1)]


class BlockChoices(BaseModel):
    """One searched block (a stage of like layers): each field one value or a list of choices.

    Attributes:
        stride: Of the first layer; the others have 1.
        op: `conv`, `sepconv`, or `mbconvR` with the expansion ratio R.
        kernel: Side of the (depthwise) kernel.
        se: Squeeze-and-excite ratio, 0 for none.
        skip: Skip of every layer that can have it: `identity` needs stride 1 and equal widths,
            `pool` equal widths; a layer that cannot has none.
        out: Output channels.
        depth: Number of layers, 0 drops the block (where its stride is 1).
        act: Activation.
        se_rule: `mnasnet`: ratio of the layer's input, sigmoid; `mobilenetv3`: ratio of the
            expanded channels in multiples of 8, hard sigmoid.
    """

    model_config = _MODEL

    stride: Stride
    op: Annotated[tuple[str, ...], BeforeValidator(_choices), Field(min_length=1)]
    kernel: Annotated[tuple[Kernel, ...], BeforeValidator(_choices), Field(min_length=1)]
    se: Annotated[tuple[_Ratio, ...], BeforeValidator(_choices), Field(min_length=1)]
    skip: Annotated[tuple[Skip, ...], BeforeValidator(_choices), Field(min_length=1)]
    out: Annotated[tuple[Channels, ...], BeforeValidator(_choices), Field(min_length=1)]
    depth: Annotated[tuple[Optional0, ...], BeforeValidator(_choices), Field(min_length=1)]
    act: Annotated[tuple[Act, ...], BeforeValidator(_choices), Field(min_length=1)]
    se_rule: Literal["mnasnet", "mobilenetv3"]

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name in DECISIONS:
            _distinct(getattr(self, name))
        for op in self.op:
            if not _OP.fullmatch(op) or op == "mbconv0":
                raise ValueError(f"op must be conv, sepconv or mbconv<ratio>, got {op!r}")
        if any(kernel % 2 == 0 for kernel in self.kernel):
            raise ValueError(f"kernel must be odd, got {list(self.kernel)}")
        if 0 in self.depth and self.stride != 1:
            raise ValueError("depth 0 needs stride 1: without the block the map would not shrink")
        return self


DECISIONS = ("op", "kernel", "se", "skip", "out", "depth", "act")
"""Order of the decisions in a block; a field with a single choice is no decision."""


class FactorizedSpace(BaseModel):
    """MnasNet's factorized hierarchical space: a fixed list of blocks, each searched by itself.

    `resolution` in pixels and `classes` are those of the networks that it decodes to.
    """

    model_config = _MODEL

    name: Annotated[str, Field(min_length=1)]
    bn_eps: Annotated[float, Field(gt=0)]
    stem: StemSpec
    blocks: Annotated[tuple[BlockChoices, ...], Field(min_length=1)]
    head: HeadSpec
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

    @property
    def size(self) -> int:
        """Number of token sequences (several may name the same network)."""
        return prod(self.arities)

    def decode(self, tokens: Tokens) -> ArchSpec:
        """The network of a token sequence.

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
        for block, choices in zip(self.blocks, chosen, strict=True):
            layers += _layers(block, choices, channels)
            channels = layers[-1].out if layers else channels
        return ArchSpec(
            resolution=self.resolution,
            bn_eps=self.bn_eps,
            stem=self.stem,
            blocks=tuple(layers),
            head=self.head,
        )

    def encode(self, spec: ArchSpec) -> Tokens:
        """The first token sequence, in lexicographic order, that decodes to `spec`.

        Raises:
            InputError: The network is not in the space; says the first layer that does not fit.
        """
        for part in ("stem", "bn_eps", "head", "resolution"):
            ours, theirs = getattr(self, part), getattr(spec, part)
            if ours != theirs:
                raise InputError(
                    f"not in space {self.name}: {part} is {theirs}, the space has {ours}"
                )
        parse = _Parse(self, spec)
        found = parse.match(0, 0)
        if found is None:
            raise InputError(f"not in space {self.name}: {parse.reason()}")
        return found

    def _chosen(self, tokens: Tokens) -> list[dict[str, Any]]:
        """For each block the value of every field."""
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


def _layers(block: BlockChoices, choices: dict[str, Any], channels: int) -> list[BlockSpec]:
    """The layers of a block with its choices made, fed `channels`."""
    layers: list[BlockSpec] = []
    for index in range(choices["depth"]):
        stride = block.stride if index == 0 else 1
        layers.append(_layer(choices, block.se_rule, channels, stride))
        channels = choices["out"]
    return layers


def _layer(choices: dict[str, Any], se_rule: str, cin: int, stride: Stride) -> BlockSpec:
    op, out, skip = choices["op"], choices["out"], choices["skip"]
    ratio = float(op.removeprefix("mbconv")) if op.startswith("mbconv") else 0.0
    expand = round(cin * ratio)
    possible = cin == out and (skip == "pool" or stride == 1)
    se = 0
    if choices["se"]:
        inner = {"conv": out, "sepconv": cin}.get(op, expand)
        by_input = se_rule == "mnasnet"
        se = max(1, int(cin * choices["se"])) if by_input else make_divisible(inner * choices["se"])
    return BlockSpec(
        op="mbconv" if ratio else op,
        kernel=choices["kernel"],
        stride=stride,
        expand=expand,
        out=out,
        se=se,
        gate="none" if not se else "sigmoid" if se_rule == "mnasnet" else "hsigmoid",
        act=choices["act"],
        linear=op != "conv",
        skip=skip if possible else "none",
    )


class _Parse:
    """Cuts a network's layers into the blocks of a space, depth first."""

    def __init__(self, space: FactorizedSpace, spec: ArchSpec) -> None:
        self.space, self.layers, self.widths = space, spec.blocks, spec.widths()
        self.furthest = (0, 0)  # (layer, block) where the match got stuck last
        self.dead: set[tuple[int, int]] = set()

    def match(self, block_index: int, start: int) -> Tokens | None:
        """Tokens for the blocks from `block_index` on that give the layers from `start` on."""
        if block_index == len(self.space.blocks):
            return () if start == len(self.layers) else None
        if (block_index, start) in self.dead:
            return None
        self.furthest = max(self.furthest, (start, block_index))
        block = self.space.blocks[block_index]
        for tokens, choices in _options(block):
            wanted = self.layers[start : start + choices["depth"]]
            if len(wanted) == choices["depth"] and self._fits(block, choices, wanted, start):
                rest = self.match(block_index + 1, start + len(wanted))
                if rest is not None:
                    return (*tokens, *rest)
        self.dead.add((block_index, start))
        return None

    def _fits(
        self, block: BlockChoices, choices: dict[str, Any], wanted: Sequence[BlockSpec], start: int
    ) -> bool:
        if any(
            layer.out != choices["out"] or layer.kernel != choices["kernel"] for layer in wanted
        ):
            return False  # cheap to see; building the layers is not
        return tuple(_layers(block, choices, self.widths[start])) == tuple(wanted)

    def reason(self) -> str:
        """Why no cut fits: the first layer of the furthest block, and the choices there."""
        start, index = self.furthest
        if start == len(self.layers):
            return f"it ends after {start} layers, before block {index}"
        layer, block = self.layers[start], self.space.blocks[index]
        at = f"layer {start} (block {index} of the space)"
        if layer.out not in block.out:
            return f"{at} has out {layer.out}, not one of {list(block.out)}"
        if layer.kernel not in block.kernel:
            return f"{at} has kernel {layer.kernel}, not one of {list(block.kernel)}"
        return f"no choices of block {index} give the layers from {at} on: {layer}"


def _options(block: BlockChoices) -> Iterator[tuple[Tokens, dict[str, Any]]]:
    """Every setting of a block in lexicographic order: its tokens and its fields' values."""
    fields = [getattr(block, name) for name in DECISIONS]
    free = [i for i, values in enumerate(fields) if len(values) > 1]
    for picks in product(*(range(len(values)) for values in fields)):
        values = {name: fields[i][picks[i]] for i, name in enumerate(DECISIONS)}
        yield tuple(picks[i] for i in free), values


def load_space(
    source: str | Path, *, resolution: int = 224, classes: int = 1000
) -> FactorizedSpace:
    """A built-in space by name, or the user's own from a YAML file.

    Args:
        source: A name in `SPACES`, or a path ending in .yaml or .yml.
        resolution: Side in pixels of the networks' input.
        classes: Number of classes that the networks tell apart.

    Raises:
        InputError: No such space; a key unknown, missing or of a wrong type.
    """
    if str(source) in SPACES:
        data: object = yaml.safe_load(
            (resources.files("search_spaces") / "spaces" / SPACES[str(source)]).read_text("utf-8")
        )
    elif str(source).endswith((".yaml", ".yml")):
        data = read_yaml(source)
    else:
        known = ", ".join(SPACES)
        raise InputError(f"unknown space {str(source)!r}: known are {known}, or give a YAML file")
    return space_from_dict(data, where=str(source), resolution=resolution, classes=classes)


def space_from_dict(
    data: object, *, where: str = "space", resolution: int = 224, classes: int = 1000
) -> FactorizedSpace:
    """The space in plain data, as it stands in a YAML file.

    Raises:
        InputError: See `load_space`.
    """
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        raise InputError(
            f"{where}: not a search space: it needs keys and values, with schema: {SCHEMA}"
        )
    rest = {key: value for key, value in data.items() if key != "schema"}
    head = rest.get("head")
    for given, key in ((rest, "resolution"), (head if isinstance(head, dict) else {}, "classes")):
        if key in given:
            raise InputError(
                f"{where}: unknown key '{key}': it is given with the search, not the space"
            )
    if isinstance(head, dict):
        rest["head"] = head | {"classes": classes}
    try:
        return FactorizedSpace.model_validate_json(json.dumps(rest | {"resolution": resolution}))
    except ValidationError as error:
        raise InputError(f"{where}: {first_problem(error)}") from error
    except TypeError as error:
        raise InputError(f"{where}: {error}: use plain numbers and words") from error
