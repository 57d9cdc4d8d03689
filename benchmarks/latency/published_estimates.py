"""Errors of the estimates for the phones of the MobileNetV3 paper.

    python -m benchmarks.latency.published_estimates
    MOBILE_NAS_FACTS=FOLDER python -m benchmarks.latency.published_estimates --ncnn "Kirin 970"

First, from the packaged rows: errors with each family of networks held out of the fit, on every phone.
Then, if FOLDER holds `pixel_latencies.csv` (columns device, runtime, threads, precision, model,
width_multiplier, resolution, latency_ms, source): figures of other runtimes, none of which is in the fit.
A runtime's speed is one factor fitted to its rows, so only ratios between networks are judged. Last, ncnn
on another phone: each network is estimated by Pixel 1's rates, fitted without its family, times the factor
of the other networks.
"""

import argparse
import csv
import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from scipy.stats import kendalltau

from latency.estimates.published import PHONES, held_out
from latency.estimates.published.fit import factor, fit, fit_rates
from latency.estimates.published.rows import Row, network, published_rows
from latency.estimates.published.work import work
from search_spaces import REFERENCES, ArchSpec
from search_spaces.references.stages import bottlenecks
from search_spaces.spec import HeadSpec, StemSpec
from search_spaces.widths import Scale

Entry = dict[str, str]

MODELS = {
    "MobileNetV1": ("MobileNetV1", "mobilenet_v1"),
    "MobileNetV2": ("MobileNetV2", "mobilenet_v2"),
    "MobileNetV3-Large": ("MobileNetV3-Large", "mobilenet_v3_large"),
    "MobileNetV3-Small": ("MobileNetV3-Small", "mobilenet_v3_small"),
    "MnasNet-A1": ("MnasNet", "mnasnet_a1"),
    "MnasNet-B1": ("MnasNet", "mnasnet_b1"),
    "MnasNet-small": ("MnasNet", "mnasnet_small"),
    "ProxylessNAS": ("ProxylessNAS", "proxylessnas"),
}
"""The file's names of networks: their family, and ours."""

NCNN_V3 = "MobileNetV3-Large (ncnn variant; follows arXiv-v1 table)"

OTHERS: dict[str, Callable[[Entry], bool]] = {
    "Pixel 1, MobileNetV2 grid (slim README)": lambda e: "V2 table" in e["source"],
    "Pixel 1, MnasNet-A1 grid (README)": lambda e: "official/mnasnet" in e["source"],
    "Pixel 1, MnasNet-B1 (hosted models)": lambda e: (
        "hosted_models" in e["source"] and e["device"] == "Pixel 1"
    ),
    "Pixel 2, MobileNetV1 grid and V2 (hosted models)": lambda e: (
        "hosted_models" in e["source"] and e["device"] == "Pixel 2"
    ),
    "Pixel 1, MobileNetV3 paper, first version": lambda e: (
        "FIRST" in e["source"] and e["device"] == "Pixel 1"
    ),
    "Pixel 1, XNNPACK": lambda e: "XNNPACK" in e["runtime"] and e["device"] == "Pixel 1",
    "Pixel 2, XNNPACK": lambda e: "XNNPACK" in e["runtime"] and e["device"] == "Pixel 2",
    "Pixel 3a, XNNPACK": lambda e: "XNNPACK" in e["runtime"] and e["device"] == "Pixel 3a",
}


def ncnn_v3() -> ArchSpec:
    """Build V3-Large as in ncnn's benchmark: 672 -> 160 at stride 1, then again at stride 2."""
    large = REFERENCES["mobilenet_v3_large"]()
    blocks = list(large.blocks)
    blocks[12] = replace(blocks[12], stride=1)
    blocks[13] = replace(blocks[13], stride=2, expand=672, se=168, skip="none")
    return replace(large, blocks=tuple(blocks))


def efficientnet_b0() -> ArchSpec:
    """Build EfficientNet-B0 (arXiv 1905.11946): squeeze-and-excite and swish in every block."""
    stages = (
        "r1_k3_s1_e1_o16_se0.25 r2_k3_s2_e6_o24_se0.25 r2_k5_s2_e6_o40_se0.25 r3_k3_s2_e6_o80_se0.25 "
        "r3_k5_s1_e6_o112_se0.25 r4_k5_s2_e6_o192_se0.25 r1_k3_s1_e6_o320_se0.25"
    )
    return ArchSpec(
        resolution=224,
        bn_eps=1e-3,
        stem=StemSpec(out=32, kernel=3, stride=2, act="swish"),
        blocks=tuple(bottlenecks(stages, stem_out=32, scale=Scale(1.0), act="swish")),
        head=HeadSpec(conv=1280, hidden=0, act="swish", dropout=0.2, classes=1000),
    )


def row_of(entry: Entry) -> Row | None:
    """Return the file's row with its network, or None for an unknown network."""
    model, ms = entry["model"], float(entry["latency_ms"])
    if model == NCNN_V3:
        return Row(entry["device"], "MobileNetV3-Large", "", ncnn_v3(), ms)
    if model == "EfficientNet-B0":
        return Row(entry["device"], model, "", efficientnet_b0(), ms)
    if model not in MODELS:
        return None
    family, name = MODELS[model]
    width, resolution = float(entry["width_multiplier"]), int(entry["resolution"])
    make = partial(network, name) if name == "proxylessnas" else REFERENCES[name]
    spec = make(width=width, resolution=resolution)
    return Row(entry["device"], family, "", spec, ms)


def rows_where(entries: list[Entry], wanted: Callable[[Entry], bool]) -> list[Row]:
    """Yield one-thread float rows of known networks."""
    chosen = (e for e in entries if e["threads"] == "1" and e["precision"] != "int8" and wanted(e))
    return [row for row in map(row_of, chosen) if row is not None]


def errors(published: np.ndarray, estimates: np.ndarray) -> str:
    """Format cells: rows, MAPE, tau, fraction within 10%."""
    off = np.abs(estimates / published - 1)
    tau = kendalltau(published, estimates).statistic
    return f"{len(off)} | {off.mean():.1%} | {tau:.2f} | {np.mean(off <= 0.1):.0%}"


def held_out_table() -> None:
    print("| phone | rows | MAPE over families | MAPE over rows | tau | within 10% | by family |")
    print("|---|---|---|---|---|---|---|")
    for phone in PHONES:
        result = held_out(phone)
        families = ", ".join(f"{name} {error:.1%}" for name, error in result.families.items())
        print(
            f"| {phone} | {result.rows} | {result.mape:.1%} | {result.row_mape:.1%} | {result.tau:.2f} "
            f"| {result.within10:.0%} | {families} |"
        )


def unseen_table(entries: list[Entry]) -> None:
    print("\n| figures of other runtimes | factor | rows | MAPE | tau | within 10% |")
    print("|---|---|---|---|---|---|")
    for name, wanted in OTHERS.items():
        rows = rows_where(entries, wanted)
        if not rows:
            print(f"| {name} | no such rows in the file | | | | |")
            continue
        rates = fit("pixel1")
        times = factor([replace(row, family="") for row in rows], rates)
        estimates = np.array([work(row.spec) @ rates * times for row in rows])
        cells = errors(np.array([row.latency_ms for row in rows]), estimates)
        print(f"| {name} | {times:.2f} | {cells} |")


def ncnn_estimates(rows: list[Row]) -> np.ndarray:
    """Estimate ms by Pixel 1's rates without a row's family, times the other rows' factor, (rows,)."""
    pixel1 = [row for row in published_rows() if row.phone == "pixel1"]
    estimates = []
    for row in rows:
        rates = fit_rates([other for other in pixel1 if other.family != row.family])
        estimates.append(work(row.spec) @ rates * factor([r for r in rows if r is not row], rates))
    return np.array(estimates)


def ncnn_table(entries: list[Entry], device: str) -> None:
    """Print errors on one device of ncnn's table, each network estimated without its own family."""
    rows = rows_where(
        entries, lambda e: e["runtime"].startswith("ncnn CPU") and e["device"] == device
    )
    known = [row for row in rows if row.family != "EfficientNet-B0"]
    if len(known) < 3:
        print(f"\nncnn: fewer than three one-thread rows of {device!r} in the file")
        return
    print(f"\n| ncnn, {device} | rows | MAPE | tau | within 10% |\n|---|---|---|---|---|")
    for name, some in (("networks with parts as in the fit", known), ("EfficientNet-B0 too", rows)):
        published, estimates = np.array([row.latency_ms for row in some]), ncnn_estimates(some)
        print(f"| {name} | {errors(published, estimates)} |")
    print("\n| network | published ms | estimated ms |\n|---|---|---|")
    for row, ms in zip(rows, ncnn_estimates(rows), strict=True):
        print(f"| {row.family} | {row.latency_ms:.1f} | {ms:.1f} |")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ncnn", default="Kirin 970", help="the ncnn rows' device")
    return parser.parse_args()


def main() -> None:
    given = parse_arguments()
    held_out_table()
    folder = os.environ.get("MOBILE_NAS_FACTS")
    if not folder:
        print(
            "\nOther runtimes and ncnn are left out: MOBILE_NAS_FACTS names no folder with the rows."
        )
        return
    with (Path(folder) / "pixel_latencies.csv").open(encoding="utf-8", newline="") as file:
        entries = list(csv.DictReader(file))
    unseen_table(entries)
    ncnn_table(entries, given.ncnn)


if __name__ == "__main__":
    main()
