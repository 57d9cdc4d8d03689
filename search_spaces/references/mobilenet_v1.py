"""MobileNetV1: depthwise-separable convolutions, nothing else (arXiv 1704.04861, table 1)."""

from __future__ import annotations

from search_spaces.references.reference import CLASSES, RESOLUTION, reference
from search_spaces.spec import ArchSpec, BlockSpec, HeadSpec, StemSpec
from search_spaces.widths import Scale

# Out channels and stride of the thirteen blocks.
_BLOCKS = "64,1 128,2 128,1 256,2 256,1 512,2 512,1 512,1 512,1 512,1 512,1 1024,2 1024,1"


@reference
def mobilenet_v1(scale: Scale) -> ArchSpec:
    """MobileNetV1, with the ReLU6 of TensorFlow's code."""
    blocks = tuple(
        BlockSpec(
            op="sepconv",
            kernel=3,
            stride=2 if stride == "2" else 1,
            expand=0,
            out=scale(int(out)),
            se=0,
            gate="none",
            act="relu6",
            linear=False,
            skip="none",
        )
        for out, stride in (row.split(",") for row in _BLOCKS.split())
    )
    return ArchSpec(
        resolution=RESOLUTION,
        bn_eps=1e-3,
        stem=StemSpec(out=scale(32), kernel=3, stride=2, act="relu6"),
        blocks=blocks,
        head=HeadSpec(conv=0, hidden=0, act="relu6", dropout=0.001, classes=CLASSES),
    )
