"""Torchvision's names for the tensors of its SSDLite and LR-ASPP networks, from those of MobileNetV3."""

from __future__ import annotations

import re

from search_spaces.heads.specs import LRASPPHead, SSDLiteHead
from search_spaces.heads.taps import taps
from search_spaces.spec import ArchSpec

_LRASPP = {
    "head.branch": "classifier.cbr",
    "head.scale": "classifier.scale.1",
    "head.low": "classifier.low_classifier",
    "head.high": "classifier.high_classifier",
}
_SSDLITE = {
    "head.extras": "backbone.extra",
    "head.scores": "head.classification_head.module_list",
    "head.boxes": "head.regression_head.module_list",
}


def scheme_of_head(spec: ArchSpec) -> str | None:
    """Return `ssdlite` or `lraspp` where torchvision has the head; None where it has not."""
    head = spec.head
    if isinstance(head, SSDLiteHead) and taps(spec)[0].at == "expansion":
        return "ssdlite"
    if isinstance(head, LRASPPHead) and head.skip == "entry" and not head.pool:
        return "lraspp"
    return None


def head_name(ours: str) -> str | None:
    """Rename a tensor behind the body's last convolution; None for others.

    >>> head_name("head.scores.2.1.bias")
    'head.classification_head.module_list.2.1.bias'
    """
    for part, theirs in (_LRASPP | _SSDLITE).items():
        if ours.startswith(f"{part}."):
            return theirs + ours.removeprefix(part)
    return None


def body_name(classifier: str, spec: ArchSpec) -> str:
    """Return the name of a tensor of the body from its name in torchvision's MobileNetV3 classifier.

    LR-ASPP renames the body. SSDLite also splits it in two at C4, within a block.
    """
    matched = re.fullmatch(r"features\.(\d+)\.(.+)", classifier)
    assert matched is not None, classifier
    place, rest = int(matched[1]), matched[2]
    if isinstance(spec.head, LRASPPHead):
        return f"backbone.{place}.{rest}"
    split = taps(spec)[0].block + 1
    if place < split:
        return f"backbone.features.0.{place}.{rest}"
    if place > split:
        return f"backbone.features.1.{place - split}.{rest}"
    rest = rest.removeprefix("block.")
    if rest.startswith("0."):  # the expansion, whose output is C4
        return f"backbone.features.0.{split}.{rest.removeprefix('0.')}"
    return f"backbone.features.1.0.{rest}"
