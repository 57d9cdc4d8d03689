"""Heads as data: what follows the blocks of a network, for each task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator
from pydantic.dataclasses import dataclass

from search_spaces.errors import InputError
from search_spaces.field_types import (
    STRICT,
    Act,
    Channels,
    Epsilon,
    Fraction,
    Optional0,
)

GatePool = Annotated[int, Field(ge=0)]
Steps = Annotated[int, Field(gt=0)]
Ratio = Annotated[float, Field(gt=0)]


@dataclass(frozen=True, config=STRICT)
class HeadSpec:
    """The head of a classifier: from the last feature map to the logits.

    MobileNetV2's: `conv` 1x1 -> average pool -> dropout -> classifier, with `hidden` 0. MobileNetV3's
    redesigned last stage pools earlier: `conv` 1x1 -> average pool -> `hidden` (linear with bias) ->
    `act` -> dropout -> classifier. MobileNetV1 has neither (`conv` 0, `hidden` 0).
    """

    conv: Optional0
    hidden: Optional0
    act: Act
    dropout: Annotated[float, Field(ge=0, lt=1)]
    classes: Channels


@dataclass(frozen=True, config=STRICT)
class ExtraSpec:
    """A layer behind the body that halves the map: 1x1 to `inner`, depthwise 3x3 of stride 2, 1x1 to `out`.

    Each convolution has batch norm and ReLU6.
    """

    inner: Channels
    out: Channels


@dataclass(frozen=True, config=STRICT, kw_only=True)
class SSDLiteHead:
    """A detector: SSD with depthwise-separable predictors (arXiv 1801.04381, section 6.2).

    Predictors read C4, the last map of stride 16 (see `taps`); C5, the output of `conv`; and the output of
    each of `extras`. Each is a depthwise 3x3 convolution with batch norm and ReLU6, and a 1x1 convolution
    with bias.

    Attributes:
        kind: Tells the heads apart in a file.
        conv: Channels of the body's last 1x1 convolution, whose output is C5; 0: C5 is the last block's.
        act: Its activation.
        extras: The layers behind it.
        scales: Side of each map's anchors as a fraction of the image, ascending; one more than there are
            maps.
        ratios: For each map, ratios of width to height of its further anchors, each also inverted. Every
            map has two square anchors: of its scale, and of the geometric mean with the next one's.
        reduced_first: Three anchors on the first map, as in TensorFlow: a square of half its scale, and one
            of each of the first ratio and its inverse.
        scores: `softmax` over the classes and the background (column 0), as in torchvision; or a `sigmoid`
            of each column, as with TensorFlow's focal loss.
        classes: Number of classes without the background.
    """

    kind: Literal["ssdlite"] = "ssdlite"
    conv: Optional0
    act: Act
    extras: tuple[ExtraSpec, ...]
    scales: tuple[Fraction, ...]
    ratios: tuple[tuple[Ratio, ...], ...]
    reduced_first: bool = False
    scores: Literal["softmax", "sigmoid"] = "softmax"
    classes: Channels

    @model_validator(mode="after")
    def _check(self) -> Self:
        maps = 2 + len(self.extras)
        if len(self.ratios) != maps:
            raise ValueError(
                f"ratios: {maps} lists are needed, one a feature map, got {len(self.ratios)}"
            )
        if len(self.scales) != maps + 1:
            raise ValueError(
                f"scales: {maps + 1} are needed, one more than feature maps, got {len(self.scales)}"
            )
        if list(self.scales) != sorted(self.scales):
            raise ValueError(f"scales must ascend, got {list(self.scales)}")
        if self.reduced_first and not self.ratios[0]:
            raise ValueError("reduced_first needs a ratio for the first map, got none")
        return self

    @property
    def anchors_per_cell(self) -> tuple[int, ...]:
        """Number of anchors in each cell of each map."""
        counts = [2 + 2 * len(ratios) for ratios in self.ratios]
        return (3, *counts[1:]) if self.reduced_first else tuple(counts)


@dataclass(frozen=True, config=STRICT, kw_only=True)
class LRASPPHead:
    """A segmentation network's head: Lite R-ASPP (arXiv 1905.02244, section 6.4, figure 10).

    One branch is a 1x1 convolution to `filters` channels, batch norm and ReLU. The other pools the same map
    and computes a gate that scales the first. The result, enlarged to the map of stride 8, and that map
    itself are each classified by a 1x1 convolution, and added.

    Attributes:
        kind: Tells the heads apart in a file.
        conv: Channels of the body's last 1x1 convolution; 0 for none.
        act: Its activation.
        filters: Channels of both branches, the paper's F.
        pool: Side of the gate's average pool, at most the map's; 0 pools the whole map, as in torchvision.
            The paper's is 49.
        pool_stride: Its stride down and across; the paper's is (16, 20).
        gate: Sigmoid, or TensorFlow's hard sigmoid.
        skip: The map of stride 8: the output of the first block there (`entry`), as in torchvision, or the
            last depthwise convolution there, before its squeeze-and-excite (`depthwise`), as in DeepLab.
        bn_eps: Of the branch's own batch norm.
        classes: Number of classes.
    """

    kind: Literal["lraspp"] = "lraspp"
    conv: Optional0
    act: Act
    filters: Channels = 128
    pool: GatePool = 0
    pool_stride: tuple[Steps, Steps] = (1, 1)
    gate: Literal["sigmoid", "hsigmoid"] = "sigmoid"
    skip: Literal["entry", "depthwise"] = "entry"
    bn_eps: Epsilon = 1e-5
    classes: Channels


@dataclass(frozen=True, config=STRICT, kw_only=True)
class RASPPHead:
    """A segmentation network's head: R-ASPP, a reduced DeepLabv3 (arXiv 1801.04381, section 6.3).

    A 1x1 convolution and the image's mean (pooled, 1x1 convolution, spread over the map), each to
    `filters` channels with batch norm and ReLU, are concatenated, projected to `filters` channels with
    batch norm and ReLU, and classified.

    Attributes:
        kind: Tells the heads apart in a file.
        conv: Channels of the body's last 1x1 convolution; 0 for none.
        act: Its activation.
        filters: Channels of each branch, the paper's F.
        bn_eps: Of their batch norms.
        classes: Number of classes.
    """

    kind: Literal["raspp"] = "raspp"
    conv: Optional0
    act: Act
    filters: Channels = 256
    bn_eps: Epsilon = 1e-5
    classes: Channels


def output_names(head: HeadSpec | SSDLiteHead | LRASPPHead | RASPPHead) -> tuple[str, ...]:
    """Return the names of a network's outputs, in order."""
    return ("scores", "boxes") if isinstance(head, SSDLiteHead) else ("logits",)


def classifier(head: HeadSpec | SSDLiteHead | LRASPPHead | RASPPHead) -> HeadSpec:
    """Return the head of a classifier.

    Raises:
        InputError: It is another.
    """
    if not isinstance(head, HeadSpec):
        raise InputError(f"the network has a {head.kind} head: give a classifier")
    return head


def conv_is_last(head: HeadSpec | SSDLiteHead | LRASPPHead | RASPPHead) -> bool:
    """Return whether the classifier directly follows the head's convolution.

    The papers do not scale that one with the other widths.
    """
    return isinstance(head, HeadSpec) and head.conv > 0 and head.hidden == 0


def _kind(value: object) -> str:
    if isinstance(value, Mapping):
        return str(value.get("kind", "classifier"))
    return str(getattr(value, "kind", "classifier"))


DenseHead = SSDLiteHead | LRASPPHead | RASPPHead

Head = Annotated[
    Annotated[HeadSpec, Tag("classifier")]
    | Annotated[SSDLiteHead, Tag("ssdlite")]
    | Annotated[LRASPPHead, Tag("lraspp")]
    | Annotated[RASPPHead, Tag("raspp")],
    Discriminator(
        _kind,
        custom_error_type="head_kind",
        custom_error_message="kind must be ssdlite, lraspp or raspp, or left out for a classifier",
    ),
]
"""Any head; in a file, one without `kind` is a classifier's."""
