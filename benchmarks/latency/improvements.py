"""Savings of MobileNetV3's improvements: MAdds, and latency measured here next to the paper's.

    python -m benchmarks.latency.improvements

The networks of a table are measured interleaved; a ratio to the first is the median over rounds, with its
interval. The paper's figures are milliseconds on a Pixel 1 (arXiv 1905.02244: section 5.1, figure 5; table
5).
"""

from latency import Measured, Timing
from latency.runtimes.onnx_runtime import OnnxRuntime
from search_spaces import REFERENCES, ArchSpec, count
from search_spaces.improvements import (
    hswish_from,
    quarter_squeeze_excite,
    redesign_last_stage,
    resize_stem,
    unfuse_hswish,
)

TIMING = Timing(min_blocks=40, max_s=6.0, half_width=0.003)


def steps() -> dict[str, tuple[ArchSpec, str]]:
    """Apply the improvements one at a time, up to MobileNetV3-Large."""
    spec = REFERENCES["mobilenet_v3_large_unimproved"]()
    table = {"before": (spec, "")}
    spec = redesign_last_stage(spec)
    table["last stage"] = (spec, "-7 ms (11%)")
    spec = resize_stem(spec)
    table["stem of 16, h-swish"] = (spec, "-2 ms")
    spec = hswish_from(spec, 80)
    table["h-swish@80"] = (spec, "")
    table["squeeze-and-excite at 1/4 = V3-Large"] = (quarter_squeeze_excite(spec), "51.4 ms")
    return table


def nonlinearities() -> dict[str, tuple[ArchSpec, str]]:
    """Build MobileNetV3-Large with h-swish from different widths on, fused and unfused."""
    large = REFERENCES["mobilenet_v3_large"]()
    relu = resize_stem(hswish_from(large, None), act="relu")
    table = {"ReLU": (relu, "50.5")}
    for channels, fused, unfused in (
        (16, "53.5", "68.9"),
        (80, "51.4", "57.5"),
        (112, "51", "54.4"),
    ):
        spec = hswish_from(large, channels)
        table[f"h-swish@{channels}"] = (spec, fused)
        table[f"h-swish@{channels}, not fused"] = (unfuse_hswish(spec), unfused)
    return table


def report(source: Measured, table: dict[str, tuple[ArchSpec, str]]) -> None:
    """Print a table of networks measured interleaved."""
    readings = source.compare([spec for spec, _ in table.values()])
    print("| network | MAdds | ms | ratio to the first | paper, Pixel 1 ms |")
    print("|---|--:|--:|---|---|")
    for (name, (spec, paper)), reading in zip(table.items(), readings, strict=True):
        ratio, latency = reading.over(readings[0]), reading.latency
        low, high = ratio.ci95
        unstable = "" if latency.stable else " (unstable)"
        print(
            f"| {name} | {count(spec).madds / 1e6:.1f}M | {latency.median_ms:.3f}{unstable} "
            f"| {ratio.value:.3f} ({low:.3f} to {high:.3f}) | {paper} |"
        )


def main() -> None:
    source = Measured(OnnxRuntime(), timing=TIMING)
    print(f"{source.device.name}\n")
    report(source, steps())
    print()
    report(source, nonlinearities())


if __name__ == "__main__":
    main()
