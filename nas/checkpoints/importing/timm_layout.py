"""timm's names of weights and networks: MobileNetV1, V2, V3 and MnasNet."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from torch import Tensor

from search_spaces import REFERENCES, ArchSpec
from search_spaces.field_types import Padding

WHOLE_STEM = 16

Normalization = Literal["imagenet", "inception", "none"]

_BLOCK = re.compile(r"blocks\.(\d+)\.(\d+)\.(\w+)\.(.+)")
_STEM = {"conv_stem": "stem.0", "bn1": "stem.1"}
_NAME = re.compile(
    r"(tf_)?(mobilenetv3_(?:large|small)(?:_minimal)?|mobilenetv[12]|mnasnet|semnasnet)_(\d{3})"
)
_NETWORKS = {
    "mobilenetv1": "mobilenet_v1",
    "mobilenetv2": "mobilenet_v2",
    "mobilenetv3_large": "mobilenet_v3_large",
    "mobilenetv3_small": "mobilenet_v3_small",
    "mobilenetv3_large_minimal": "mobilenet_v3_large_minimalistic",
    "mobilenetv3_small_minimal": "mobilenet_v3_small_minimalistic",
    "mnasnet": "mnasnet_b1",
    "semnasnet": "mnasnet_a1",
}


CENTRED, UNCHANGED = "ra4_", "miil_"
"""Trainings, named behind the dot, whose pixels are in -1..1, and in 0..1."""


@dataclass(frozen=True)
class TimmNetwork:
    """A network that timm names.

    Attributes:
        spec: The network; its padding and batch norm's epsilon are those of the weights.
        normalization: Of the images: ImageNet's mean and deviation, or to -1..1.
    """

    spec: ArchSpec
    normalization: Normalization


def timm_network(name: str) -> TimmNetwork | None:
    """Return the network that timm calls `name`; None if it is not one of these.

    >>> network = timm_network("tf_mobilenetv3_small_100")
    >>> network.spec.padding, network.spec.bn_eps, network.normalization
    ('same', 0.001, 'inception')
    >>> timm_network("mobilenetv3_large_100.miil_in21k_ft_in1k").normalization
    'none'
    """
    base, _, training = name.partition(".")
    found = _NAME.fullmatch(base)
    if found is None:
        return None
    tensorflow, family, width = found.groups()
    reference = REFERENCES[_NETWORKS[family]]
    padding: Padding = "same" if tensorflow else "torch"
    multiplier = int(width) / 100
    spec = reference(width=multiplier, convention="paper")
    if "mobilenetv3" in family and multiplier < 0.75:
        spec = _with_whole_stem(spec)
    spec = replace(
        spec,
        padding=padding,
        bn_eps=1e-3 if tensorflow else 1e-5,
    )
    centred = tensorflow or family == "mobilenetv1" or training.startswith(CENTRED)
    usual: Normalization = "inception" if centred else "imagenet"
    return TimmNetwork(spec, "none" if training.startswith(UNCHANGED) else usual)


def _with_whole_stem(spec: ArchSpec) -> ArchSpec:
    """Return a narrow MobileNetV3 with the stem of the full width, as timm has it."""
    first, *others = spec.blocks
    if first.out != WHOLE_STEM and first.skip == "identity":
        first = replace(first, skip="none")
    return replace(spec, stem=replace(spec.stem, out=WHOLE_STEM), blocks=(first, *others))


def is_timm(found: Mapping[str, Tensor]) -> bool:
    """Return whether the names are timm's."""
    return "conv_stem.weight" in found


def from_timm(found: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename weights to our names; names that no MobileNet has are kept as they are.

    timm numbers blocks by stage and place; ours are numbered through. Its 1x1 convolution after the pool is
    our hidden linear layer.
    """
    parts: dict[tuple[int, int], set[str]] = {}
    for name in found:
        if matched := _BLOCK.fullmatch(name):
            place = (int(matched[1]), int(matched[2]))
            parts.setdefault(place, set()).add(matched[3])
    numbers = {place: number for number, place in enumerate(sorted(parts))}
    hidden = "conv_head.bias" in found
    renamed = {}
    for name, tensor in found.items():
        if matched := _BLOCK.fullmatch(name):
            place = (int(matched[1]), int(matched[2]))
            ours = _block_name(parts[place], numbers[place], matched[3], matched[4])
        else:
            ours = _outside_blocks(name, hidden=hidden)
        if hidden and name == "conv_head.weight" and tensor.ndim == 4:
            tensor = tensor.flatten(1)
        renamed[ours or name] = tensor
    return renamed


def _block_name(parts: set[str], number: int, layer: str, rest: str) -> str | None:
    if "conv" in parts:  # a plain 1x1 convolution, the last stage of MobileNetV3
        inside = {"conv": 0, "bn1": 1}.get(layer)
        return None if inside is None else f"head.conv.{inside}.{rest}"
    if "conv_pwl" in parts:
        order = ["conv_pw", "conv_dw", *(["se"] if "se" in parts else []), "conv_pwl"]
        norms = {"bn1": "conv_pw", "bn2": "conv_dw", "bn3": "conv_pwl"}
    else:
        order = ["conv_dw", *(["se"] if "se" in parts else []), "conv_pw"]
        norms = {"bn1": "conv_dw", "bn2": "conv_pw"}
    place = order.index(norms.get(layer, layer)) if norms.get(layer, layer) in order else None
    if place is None:
        return None
    if layer == "se":
        inside_se = rest.replace("conv_reduce", "squeeze").replace("conv_expand", "excite")
        return f"blocks.{number}.layers.{place}.{inside_se}"
    return f"blocks.{number}.layers.{place}.{1 if layer in norms else 0}.{rest}"


def _outside_blocks(name: str, *, hidden: bool) -> str | None:
    layer, _, rest = name.partition(".")
    if layer in _STEM:
        return f"{_STEM[layer]}.{rest}"
    if layer == "conv_head":
        return f"head.classifier.0.{rest}" if hidden else f"head.conv.0.{rest}"
    if layer == "bn2":
        return f"head.conv.1.{rest}"
    if layer == "classifier":
        return f"head.classifier.{3 if hidden else 1}.{rest}"
    return None
