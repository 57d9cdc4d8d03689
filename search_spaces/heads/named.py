"""Heads by name: what follows the colon in `mobilenet_v3_large:lraspp-rf2-f128-os16`."""

from __future__ import annotations

import re
from typing import NamedTuple, get_args

from search_spaces.errors import InputError
from search_spaces.heads.transforms import (
    OutputStride,
    dilate,
    halve_tail,
    lraspp,
    raspp,
    ssdlite,
)
from search_spaces.nearest import did_you_mean
from search_spaces.spec import ArchSpec, HeadSpec

KINDS = ("ssdlite", "lraspp", "raspp")

OPTIONS = {
    "half": "channels from C4 on halved, the paper's dagger (ssdlite)",
    "rf2": "channels of the last stage halved, the paper's RF2 (lraspp, raspp)",
    "fN": "N filters in the head (lraspp 128, raspp 256)",
    "osN": "output stride 32, 16 or 8 (lraspp, raspp: 16)",
}
"""What each option of a name does."""

COCO_CLASSES, VOC_CLASSES = 90, 21
DETECTION_PX, SEGMENTATION_PX = 320, 512


def default_px(name: str) -> int:
    """Return the side of the image for which a head is shown and measured by default."""
    return DETECTION_PX if name.startswith("ssdlite") else SEGMENTATION_PX


def with_head(
    spec: ArchSpec, name: str, *, classes: int | None = None, width: float = 1.0
) -> ArchSpec:
    """Give a network the head of a name: a kind and options, joined by hyphens.

    >>> from search_spaces.references import mobilenet_v3_small
    >>> spec = with_head(mobilenet_v3_small(), "lraspp-rf2-f64", classes=8)
    >>> spec.head.filters, spec.head.conv, spec.blocks[-1].dilation
    (64, 288, 2)

    Args:
        spec: A classifier.
        name: `ssdlite`, `lraspp` or `raspp`, and options of `OPTIONS`.
        classes: Number of classes; COCO's or Pascal VOC's by default.
        width: Multiplier of SSDLite's extra layers.

    Raises:
        InputError: An unknown kind or option, or a body that lacks the maps.
    """
    kind, detects, _, filters, stride = _parsed(name)
    spec = narrowed_tail(spec, name)
    if detects:
        return ssdlite(spec, classes=classes or COCO_CLASSES, width=width)
    spec = dilate(spec, stride)
    made = lraspp if kind == "lraspp" else raspp
    given = {} if filters is None else {"filters": filters}
    return made(spec, classes=classes or VOC_CLASSES, **given)


def narrowed_tail(spec: ArchSpec, name: str) -> ArchSpec:
    """Return a classifier with the channels of its last stage halved, if the name of a head says so.

    >>> from search_spaces.references import mobilenet_v2
    >>> [narrowed_tail(mobilenet_v2(), name).head.conv for name in ("ssdlite", "ssdlite-half")]
    [1280, 640]

    Raises:
        InputError: See `with_head`.
    """
    _, detects, halved, _, _ = _parsed(name)
    if not halved:
        return spec
    return halve_tail(spec, entry=not detects and has_redesigned_last_stage(spec))


class _Parsed(NamedTuple):
    """The parts of a name."""

    kind: str
    detects: bool
    halved: bool
    filters: int | None
    stride: OutputStride


def _parsed(name: str) -> _Parsed:
    """Split the name of a head into its parts.

    Raises:
        InputError: An unknown kind or option.
    """
    kind, *options = name.split("-")
    if kind not in KINDS:
        raise InputError(
            f"no head {kind!r}: give one of {', '.join(KINDS)}{did_you_mean(kind, KINDS)}"
        )
    detects = kind == "ssdlite"
    halved, filters, stride = False, None, 16
    for option in options:
        if option == ("half" if detects else "rf2"):
            halved = True
        elif not detects and (number := re.fullmatch(r"f([1-9]\d*)", option)):
            filters = int(number[1])
        elif not detects and option in {f"os{one}" for one in get_args(OutputStride)}:
            stride = int(option[2:])
        else:
            raise InputError(
                f"head {name}: no option {option!r}: {kind} takes {_known(detects=detects)}"
            )
    return _Parsed(kind, detects, halved, filters, stride)  # type: ignore[arg-type] # checked above


def has_redesigned_last_stage(spec: ArchSpec) -> bool:
    """Return whether a classifier pools early, as MobileNetV3.

    Of these, RF2 also halves the first expansion of the last stage, as DeepLab's code does. Of MobileNetV2
    it does not: only so does it have the paper's parameters and MAdds (arXiv 1905.02244, table 7).
    """
    return isinstance(spec.head, HeadSpec) and spec.head.hidden > 0


def _known(*, detects: bool) -> str:
    names = ("half",) if detects else ("rf2", "fN", "osN")
    return "; ".join(f"{name}: {OPTIONS[name].split(' (')[0]}" for name in names)
