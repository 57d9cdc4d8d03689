"""A network as data: absolute widths, everything needed to rebuild it, nothing about training.

Networks found by a search, published networks and NetAdapt proposals are all `ArchSpec`s, which share one
cache, exporter, latency path and trainer.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import TypeAdapter, ValidationError, model_validator
from pydantic.dataclasses import dataclass

from search_spaces.errors import InputError, first_problem
from search_spaces.field_types import (
    STRICT,
    Act,
    Channels,
    Dilation,
    Epsilon,
    Gate,
    Kernel,
    Op,
    Optional0,
    Padding,
    Skip,
    Stride,
)
from search_spaces.heads.specs import Head
from search_spaces.heads.specs import HeadSpec as HeadSpec
from search_spaces.heads.taps import taps

SCHEMA = 1


def _odd(kernel: int) -> None:
    if kernel % 2 == 0:
        raise ValueError(f"kernel must be odd, got {kernel}")


@dataclass(frozen=True, config=STRICT)
class StemSpec:
    """The first convolution: `kernel` x `kernel`, 3 -> `out` channels, batch norm, `act`."""

    out: Channels
    kernel: Kernel
    stride: Stride
    act: Act

    @model_validator(mode="after")
    def _check(self) -> Self:
        _odd(self.kernel)
        return self


@dataclass(frozen=True, config=STRICT)
class BlockSpec:
    """One layer of the body.

    Attributes:
        op: `conv` is a `kernel` x `kernel` convolution; `sepconv` a depthwise one and a 1x1; `mbconv`
            a 1x1 expansion, a depthwise one and a 1x1 projection (MobileNetV2's inverted bottleneck).
        expand: Channels of the expansion of `mbconv`; 0 otherwise.
        out: Output channels.
        se: Channels of the squeeze-and-excite bottleneck; 0 without one. It scales the depthwise output
            (for `conv`, the convolution's output).
        gate: Gate of the squeeze-and-excite: MnasNet's sigmoid or MobileNetV3's hard sigmoid.
        act: Activation after every convolution but the last.
        linear: Whether the last convolution has no activation (a linear bottleneck). MobileNetV1 and plain
            convolutions have one.
        skip: Added to the output: the input (`identity`), its 3x3 average (`pool`), or nothing.
        dilation: Of the `kernel` x `kernel` convolution.
    """

    op: Op
    kernel: Kernel
    stride: Stride
    expand: Optional0
    out: Channels
    se: Optional0
    gate: Gate
    act: Act
    linear: bool
    skip: Skip
    dilation: Dilation = 1

    @model_validator(mode="after")
    def _check(self) -> Self:
        _odd(self.kernel)
        if (self.op == "mbconv") != (self.expand > 0):
            raise ValueError(f"only mbconv has an expansion, got expand {self.expand} in {self.op}")
        if (self.se > 0) != (self.gate != "none"):
            raise ValueError(f"se and gate go together, got se {self.se} with gate {self.gate}")
        return self


@dataclass(frozen=True, config=STRICT)
class ArchSpec:
    """A network: stem, blocks, head, and the side of its square input in pixels.

    `bn_eps` and `padding` belong to it, since they change what the network computes. `torch` pads every
    side of a k x k layer by k // 2. TensorFlow's `same` pads only as much as an output of ceil(side /
    stride) needs, an odd pixel to the right and below: at stride 2 and an even side, a 3x3 layer pads 0
    and 1.
    """

    resolution: Channels
    bn_eps: Epsilon
    stem: StemSpec
    blocks: tuple[BlockSpec, ...]
    head: Head
    padding: Padding = "torch"

    @model_validator(mode="after")
    def _check(self) -> Self:
        channels = self.stem.out
        for index, block in enumerate(self.blocks):
            if block.skip != "none" and block.out != channels:
                raise ValueError(
                    f"block {index}: skip {block.skip} needs out == in, got {channels} -> {block.out}"
                )
            if block.skip == "identity" and block.stride != 1:
                raise ValueError(f"block {index}: skip identity needs stride 1, got {block.stride}")
            channels = block.out
        taps(self)  # raises where the body lacks a map that the head reads
        return self

    @cached_property
    def fingerprint(self) -> str:
        """A stable hash of the content, 16 hexadecimal digits: the key of every cache."""
        text = json.dumps(to_dict(self), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def widths(self) -> tuple[int, ...]:
        """Input channels of each block, then of the head."""
        return (self.stem.out, *(block.out for block in self.blocks))


_ADAPTER: TypeAdapter[ArchSpec] = TypeAdapter(ArchSpec)


def to_dict(spec: ArchSpec) -> dict[str, Any]:
    """Return the spec as plain data, as in YAML, JSON and seed files.

    Padding and dilation are left out where they are the default: files and fingerprints are as they were
    before there was another.
    """
    data = {"schema": SCHEMA} | asdict(spec)
    if spec.padding == "torch":
        del data["padding"]
    for block in data["blocks"]:
        if block["dilation"] == 1:
            del block["dilation"]
    return data


def from_dict(data: object, *, where: str = "spec") -> ArchSpec:
    """Restore a spec from `to_dict`.

    Raises:
        InputError: Another schema version, an unknown or missing key, or a wrong type or value; the
            message starts with `where`.
    """
    if not isinstance(data, dict):
        raise InputError(f"{where}: expected keys and values, got {type(data).__name__}")
    rest = dict(data)
    head = rest.get("head")
    if isinstance(head, dict) and head.get("kind") == "classifier":  # the default, in words
        rest["head"] = {key: value for key, value in head.items() if key != "kind"}
    version = rest.pop("schema", None)
    if version != SCHEMA:
        raise InputError(
            f"{where}: schema must be {SCHEMA}, got {version!r}: not a spec of this version"
        )
    try:
        # Through JSON, where strict validation accepts a list for a tuple, and nothing else.
        return _ADAPTER.validate_json(json.dumps(rest))
    except ValidationError as error:
        raise InputError(f"{where}: {first_problem(error)}") from error
    except TypeError as error:  # a YAML date, set or binary
        raise InputError(f"{where}: {error}: use plain numbers and strings") from error


def to_yaml(spec: ArchSpec) -> str:
    """Format the spec as YAML, one line per block."""
    data = to_dict(spec)
    lines = [
        f"schema: {data['schema']}",
        f"resolution: {spec.resolution}",
        f"bn_eps: {spec.bn_eps}",
        *([f"padding: {spec.padding}"] if spec.padding != "torch" else []),
    ]
    lines += [f"stem: {_flow(data['stem'])}", "blocks:" if spec.blocks else "blocks: []"]
    lines += [f"- {_flow(block)}" for block in data["blocks"]]
    lines += [f"head: {_flow(data['head'])}"]
    return "\n".join(lines) + "\n"


def _flow(mapping: dict[str, Any]) -> str:
    text = yaml.safe_dump(mapping, default_flow_style=True, sort_keys=False, width=10_000)
    return str(text).strip()


class _Loader(yaml.SafeLoader):
    """The safe loader, which also reads 1e-5 as a number, as in YAML 1.2; in 1.1 it is a string."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+"), list("-+0123456789")
)


def read_yaml(path: Path | str) -> object:
    """Read plain data from a YAML file with the safe loader.

    Raises:
        InputError: The file is missing, not text or not YAML.
    """
    try:
        return yaml.load(Path(path).read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}: give a readable YAML file") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not a text file: give a YAML file") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        at = f" at line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "malformed"
        raise InputError(f"{path}: not YAML{at}: {problem}") from error


def load(path: Path | str) -> ArchSpec:
    """Read a spec from a YAML file.

    Raises:
        InputError: See `read_yaml` and `from_dict`.
    """
    return from_dict(read_yaml(path), where=str(path))


def save(spec: ArchSpec, path: Path | str) -> None:
    """Write the spec as YAML."""
    Path(path).write_text(to_yaml(spec), encoding="utf-8")
