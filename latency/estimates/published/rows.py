"""The published latencies that the estimates are fitted to: one row per network and phone.

All are single-thread TFLite, fp32, batch 1, on a large core, from one series of measurements: the final
version of the MobileNetV3 paper (arXiv 1905.02244, tables 3, 5 and 9) and the README of TensorFlow's slim.
The README takes precedence: it is later, and the paper's 40 ms for V3-Large 0.75 on Pixel 3 is still that
of its first version (the README has 34).

Left out, since a latency depends on its runtime as much as on its network: the paper's first version (a
TFLite 25-30% slower), the README grids of MobileNetV2 and MnasNet-A1 and the hosted models (older still),
XNNPACK (a quarter faster), int8, several threads, and figures only quoted elsewhere. The benchmark
`published_estimates` compares the estimates with these unseen rows.
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
"""The baseline of table 5; its other variants differ only in the nonlinearity."""


@dataclass(frozen=True)
class Row:
    """A published latency.

    Attributes:
        phone: Name after `--device`: `pixel1`.
        family: Networks that share a design; held out together.
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
    """Return the rows of all phones.

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
    """Build a network of the published tables.

    `mnasnet_small` (68M MAdds) stands for an unpublished network of 65M MAdds in table 3.
    """
    if name == "proxylessnas":
        assert width == 1.0, width
        return proxylessnas(resolution)
    return REFERENCES[name](width=width, resolution=resolution)


def proxylessnas(resolution: int = 224) -> ArchSpec:
    """Build ProxylessNAS for mobile CPUs (arXiv 1812.00332), the only third-party design in the table.

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
    """Apply table 5's ablation: `relu`, `hswish@N` or `unfused hswish@N`; "" changes nothing."""
    if not variant:
        return spec
    if variant == ABLATED:
        return resize_stem(hswish_from(spec, None), spec.stem.out, act="relu")
    kind, _, channels = variant.partition("@")
    swished = hswish_from(spec, int(channels))
    return unfuse_hswish(swished) if kind.startswith("unfused") else swished
