"""The published figures that the estimates are fitted to: one network on one phone a row.

All are single-thread TFLite, fp32, batch 1, on a large core, from one series of measurements: the final
text of the MobileNetV3 paper (arXiv 1905.02244, tables 3, 5 and 9) and the README of TensorFlow's slim,
which comes first where both print a network: it is the later one, and the paper's 40 ms for V3-Large 0.75
on Pixel 3 still is that of its first version (the README has 34).

Left out, since a figure means its runtime as much as its network: the paper's first version (a TFLite
25-30% slower), the README grids of MobileNetV2 and MnasNet-A1 and the hosted models (older still), XNNPACK
(a quarter faster), int8, several threads, and what is only quoted elsewhere. The benchmark
`published_estimates` compares the estimates with them all the same: they are rows that no fit has seen.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from search_spaces.improvements import hswish_from, resize_stem, unfuse_hswish
from search_spaces.references import REFERENCES
from search_spaces.references.stages import bottlenecks
from search_spaces.spec import ArchSpec, HeadSpec, StemSpec
from search_spaces.widths import Scale

ABLATED = "relu"
"""The variant that the others of table 5 differ from by their nonlinearity alone."""


@dataclass(frozen=True)
class Row:
    """A published latency.

    Attributes:
        phone: As after `--device`: `pixel1`.
        family: What is held out together: networks that share a design.
        variant: Nonlinearity of table 5's ablation; "" for the network as published.
        spec: The network.
        latency_ms: As printed.
    """

    phone: str
    family: str
    variant: str
    spec: ArchSpec
    latency_ms: float


@cache
def published_rows() -> tuple[Row, ...]:
    """All rows, of all phones.

    >>> len(published_rows()), sorted({row.phone for row in published_rows()})
    (54, ['pixel1', 'pixel2', 'pixel3'])
    """
    text = (
        files("latency.estimates.published").joinpath("pixel_rows.csv").read_text(encoding="utf-8")
    )
    return tuple(_row(entry) for entry in csv.DictReader(text.splitlines()))


def _row(entry: dict[str, str]) -> Row:
    spec = network(
        entry["network"], width=float(entry["width"]), resolution=int(entry["resolution_px"])
    )
    return Row(
        entry["phone"],
        entry["family"],
        entry["variant"],
        _with_nonlinearity(spec, entry["variant"]),
        float(entry["latency_ms"]),
    )


@cache
def network(name: str, *, width: float = 1.0, resolution: int = 224) -> ArchSpec:
    """A network of the published tables.

    `mnasnet_small` stands for one of 65M MAdds in table 3, which is not published; it has 68M itself.
    """
    if name == "proxylessnas":
        assert width == 1.0, width
        return proxylessnas(resolution)
    return REFERENCES[name](width=width, resolution=resolution)


def proxylessnas(resolution: int = 224) -> ArchSpec:
    """ProxylessNAS for mobile CPUs (arXiv 1812.00332), the one design of others in the paper's table.

    >>> from search_spaces import count
    >>> cost = count(proxylessnas())  # published: 4,080,512 parameters, 320M MAdds
    >>> cost.params, round(cost.madds / 1e6)
    (4080512, 320)
    """
    stages = (
        "r1_k3_s1_e1_o16 r1_k5_s2_e3_o32 r1_k3_s1_e3_o32 r1_k7_s2_e3_o40 r1_k3_s1_e3_o40 "
        "r2_k5_s1_e3_o40 r1_k7_s2_e6_o80 r3_k5_s1_e3_o80 r1_k5_s1_e6_o96 r3_k5_s1_e3_o96 "
        "r1_k7_s2_e6_o192 r1_k7_s1_e6_o192 r2_k7_s1_e3_o192 r1_k7_s1_e6_o320"
    )
    return ArchSpec(
        resolution=resolution,
        bn_eps=1e-3,
        stem=StemSpec(out=32, kernel=3, stride=2, act="relu6"),
        blocks=tuple(bottlenecks(stages, stem_out=32, scale=Scale(1.0), act="relu6")),
        head=HeadSpec(conv=1280, hidden=0, act="relu6", dropout=0.0, classes=1000),
    )


def _with_nonlinearity(spec: ArchSpec, variant: str) -> ArchSpec:
    """Table 5's ablation: `relu`, `hswish@N` or `unfused hswish@N`; "" leaves the network alone."""
    if not variant:
        return spec
    if variant == ABLATED:
        return resize_stem(hswish_from(spec, None), spec.stem.out, act="relu")
    kind, _, channels = variant.partition("@")
    swished = hswish_from(spec, int(channels))
    return unfuse_hswish(swished) if kind.startswith("unfused") else swished
