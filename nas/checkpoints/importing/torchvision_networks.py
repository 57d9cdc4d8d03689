"""torchvision's names of its detector and its segmentation network."""

from __future__ import annotations

from dataclasses import replace

from search_spaces import REFERENCES, ArchSpec
from search_spaces.heads.named import with_head

BODY = "mobilenet_v3_large"

HEADS = {
    f"ssdlite320_{BODY}": ("ssdlite-half", 320),
    f"lraspp_{BODY}": ("lraspp", 520),
}
"""Our name of each one's head, and the side of the images that its weights were trained on."""


def torchvision_network(name: str) -> ArchSpec | None:
    """Return the network that torchvision calls `name`; None if it is not one of these.

    >>> spec = torchvision_network("ssdlite320_mobilenet_v3_large")
    >>> spec.resolution, spec.head.classes
    (320, 90)
    """
    if name not in HEADS:
        return None
    head, px = HEADS[name]
    return replace(with_head(REFERENCES[BODY](convention="torchvision"), head), resolution=px)
