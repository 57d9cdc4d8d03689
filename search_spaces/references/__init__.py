"""Published networks as specs, from MobileNetV1 to V3, one file each.

They are baselines of a search and possible seeds of NetAdapt.
"""

from __future__ import annotations

from search_spaces.references.mnasnet import mnasnet_a1, mnasnet_b1, mnasnet_small
from search_spaces.references.mobilenet_v1 import mobilenet_v1
from search_spaces.references.mobilenet_v2 import mobilenet_v2
from search_spaces.references.mobilenet_v3 import (
    mobilenet_v3_large,
    mobilenet_v3_large_minimalistic,
    mobilenet_v3_large_unimproved,
    mobilenet_v3_small,
    mobilenet_v3_small_minimalistic,
    mobilenet_v3_small_unimproved,
)
from search_spaces.references.origins import ORIGINS, Origin
from search_spaces.references.reference import Reference
from search_spaces.widths import Convention, make_divisible

REFERENCES: dict[str, Reference] = {
    "mobilenet_v1": mobilenet_v1,
    "mobilenet_v2": mobilenet_v2,
    "mobilenet_v3_large": mobilenet_v3_large,
    "mobilenet_v3_small": mobilenet_v3_small,
    "mobilenet_v3_large_minimalistic": mobilenet_v3_large_minimalistic,
    "mobilenet_v3_small_minimalistic": mobilenet_v3_small_minimalistic,
    "mobilenet_v3_large_unimproved": mobilenet_v3_large_unimproved,
    "mobilenet_v3_small_unimproved": mobilenet_v3_small_unimproved,
    "mnasnet_a1": mnasnet_a1,
    "mnasnet_b1": mnasnet_b1,
    "mnasnet_small": mnasnet_small,
}
"""Every reference network by name."""

__all__ = [
    "ORIGINS",
    "REFERENCES",
    "Convention",
    "Origin",
    "Reference",
    "make_divisible",
    "mnasnet_a1",
    "mnasnet_b1",
    "mnasnet_small",
    "mobilenet_v1",
    "mobilenet_v2",
    "mobilenet_v3_large",
    "mobilenet_v3_large_minimalistic",
    "mobilenet_v3_large_unimproved",
    "mobilenet_v3_small",
    "mobilenet_v3_small_minimalistic",
    "mobilenet_v3_small_unimproved",
]
