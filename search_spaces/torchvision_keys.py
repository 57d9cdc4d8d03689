"""Map our names of weights to torchvision's, for the networks that torchvision has.

Tensors and their order are the same. So a network's weights load into torchvision's class of the same
shape, and torchvision's published files into ours.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TypeVar

from search_spaces.errors import InputError
from search_spaces.heads.torchvision_keys import body_name, head_name, scheme_of_head
from search_spaces.spec import ArchSpec, HeadSpec

TensorT = TypeVar("TensorT")

MNASNET_DEPTHS = (3, 3, 3, 2, 4, 1)
"""Repeats of torchvision's MNASNet, whose names number stages and layers within them."""

_OURS = re.compile(
    r"(?P<part>stem|blocks\.(?P<block>\d+)\.layers\.(?P<layer>\d+)|head\.conv|head\.classifier)"
    r"\.(?P<rest>.+)"
)


def scheme_of(spec: ArchSpec) -> str:
    """Return torchvision's name for a kind of network.

    `mobilenet_v2`, `mobilenet_v3` or `mnasnet`; with a MobileNetV3 body also `ssdlite` or `lraspp`.

    Raises:
        InputError: torchvision has no class for it.
    """
    blocks, head = spec.blocks, spec.head
    plain = head.conv and all(b.op != "conv" and b.linear and b.skip != "pool" for b in blocks)
    acts = {spec.stem.act, head.act, *(block.act for block in blocks)}
    if plain and not isinstance(head, HeadSpec):
        found = scheme_of_head(spec)
        if found is not None and acts <= {"relu", "hswish"}:  # MobileNetV3's
            return found
    elif plain and isinstance(head, HeadSpec) and head.hidden:
        return "mobilenet_v3"
    elif plain and not any(block.se for block in blocks):
        if acts == {"relu6"}:
            return "mobilenet_v2"
        if len(blocks) == 1 + sum(MNASNET_DEPTHS):
            return "mnasnet"
    raise InputError(
        "torchvision has no class for this network: it has MobileNetV2, MobileNetV3 and MnasNet-B1 "
        "at any widths, and SSDLite and LR-ASPP on MobileNetV3"
    )


def to_torchvision(weights: Mapping[str, TensorT], spec: ArchSpec) -> dict[str, TensorT]:
    """Rename the weights of a network to torchvision's names.

    Raises:
        InputError: See `scheme_of`.
    """
    names = torchvision_names(weights, spec)
    return {names[ours]: tensor for ours, tensor in weights.items()}


def torchvision_names(ours: Iterable[str], spec: ArchSpec) -> dict[str, str]:
    """Map each of our names to torchvision's.

    Raises:
        InputError: See `scheme_of`.
    """
    rename = {
        "mobilenet_v2": _mobilenet_v2_name,
        "mobilenet_v3": _mobilenet_v3_name,
        "mnasnet": _mnasnet_name,
        "ssdlite": _dense_name,
        "lraspp": _dense_name,
    }[scheme_of(spec)]
    return {name: rename(name, spec) for name in ours}


def _matched(name: str) -> re.Match[str]:
    matched = _OURS.fullmatch(name)
    assert matched is not None, name
    return matched


def _mobilenet_v2_name(ours: str, spec: ArchSpec) -> str:
    name = _matched(ours)
    if name["block"] is None:
        return _outside_blocks(name, spec)
    index, layer, rest = int(name["block"]), int(name["layer"]), name["rest"]
    projection = 2 if spec.blocks[index].op == "mbconv" else 1
    if layer == projection:  # there its convolution and batch norm are not grouped
        inside, rest = rest.split(".", 1)
        layer += int(inside)
    return f"features.{index + 1}.conv.{layer}.{rest}"


def _mobilenet_v3_name(ours: str, spec: ArchSpec) -> str:
    name = _matched(ours)
    if name["block"] is None:
        return _outside_blocks(name, spec)
    rest = name["rest"].replace("squeeze.", "fc1.").replace("excite.", "fc2.")
    return f"features.{int(name['block']) + 1}.block.{name['layer']}.{rest}"


def _dense_name(ours: str, spec: ArchSpec) -> str:
    return head_name(ours) or body_name(_mobilenet_v3_name(ours, spec), spec)


def _outside_blocks(name: re.Match[str], spec: ArchSpec) -> str:
    """Name stem and head, alike in MobileNetV2 and V3."""
    places = {
        "stem": "features.0",
        "head.conv": f"features.{len(spec.blocks) + 1}",
        "head.classifier": "classifier",
    }
    return f"{places[name['part']]}.{name['rest']}"


def _mnasnet_name(ours: str, spec: ArchSpec) -> str:
    name = _matched(ours)
    del spec  # its depths are MNASNET_DEPTHS
    if name["part"] == "head.classifier":
        return f"classifier.{name['rest']}"
    inside, rest = name["rest"].split(".", 1)
    if name["part"] == "stem":
        return f"layers.{inside}.{rest}"
    if name["part"] == "head.conv":
        return f"layers.{14 + int(inside)}.{rest}"
    # A convolution, its batch norm and an activation have three consecutive numbers.
    layer = 3 * int(name["layer"]) + int(inside)
    if name["block"] == "0":
        return f"layers.{3 + layer}.{rest}"
    stage, repeat = _mnasnet_place(int(name["block"]) - 1)
    return f"layers.{8 + stage}.{repeat}.layers.{layer}.{rest}"


def _mnasnet_place(block: int) -> tuple[int, int]:
    """Return the stage of a block after the first, and its index in the stage.

    >>> _mnasnet_place(2), _mnasnet_place(3)
    ((0, 2), (1, 0))
    """
    for stage, depth in enumerate(MNASNET_DEPTHS):
        if block < depth:
            return stage, block
        block -= depth
    raise AssertionError(block)
