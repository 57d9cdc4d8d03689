"""Repeatability of a measurement: the ratio of two networks, measured repeatedly.

    python -m benchmarks.latency.repeatability            # 20 repeats idle, then 20 with every core loaded

Our interleaved measurement is compared with the usual way in the same run: the mean of 50 runs of one
network after the mean of 50 of the other, by wall clock. Reported is the coefficient of variation of the
ratio and of the milliseconds, for both; half of our intervals of the ratio; and how many of these intervals
hold the median ratio of the idle machine.
"""

import argparse
import multiprocessing
import os
import tempfile
import time
from pathlib import Path

import numpy as np

from latency import Measured, Timing
from latency.measuring.anchor import AnchorRecord
from latency.runtimes.onnx_runtime import OnnxRuntime
from search_spaces import REFERENCES

PAIR = ("mobilenet_v3_large", "mobilenet_v3_small")


def busy() -> None:
    """Keep a core busy, with memory traffic, like another program."""
    values = np.random.default_rng(0).random((512, 512))
    while True:
        values = values @ values
        values /= values.max()


def naive(models: list[bytes], runtime: OnnxRuntime) -> list[float]:
    """Return the mean of 50 runs of each by wall clock, one after the other."""
    means = []
    for model in models:
        network = runtime.load(model)
        begin = time.perf_counter()
        network.run(50)
        means.append((time.perf_counter() - begin) * 1e3 / 50)
    return means


def variation(values: list[float]) -> str:
    """Return the coefficient of variation in percent."""
    return f"{100 * np.std(values, ddof=1) / np.mean(values):.2f}%"


def repeat(source: Measured, models: list[bytes], repeats: int, idle: float | None = None) -> float:
    """Print a row: repeat both ways of measuring; return our median ratio.

    Args:
        source: Measures.
        models: The two networks.
        repeats: Number of measurements.
        idle: The median ratio of the idle machine; None if it is idle now.
    """
    ours, theirs, ours_ms, theirs_ms, unstable = [], [], [], [], 0
    intervals = []
    for _ in range(repeats):
        first, second = source.measure(models)
        ratio = first.over(second)
        ours.append(ratio.value)
        intervals.append(ratio.ci95)
        ours_ms.append(first.latency.median_ms)
        unstable += not first.latency.stable
        one, two = naive(models, source.runtime)  # type: ignore[arg-type]
        theirs.append(one / two)
        theirs_ms.append(one)
    true = float(np.median(ours)) if idle is None else idle
    holding = sum(low <= true <= high for low, high in intervals)
    half = np.median(
        [(high - low) / 2 / value for (low, high), value in zip(intervals, ours, strict=True)]
    )
    print(
        f"| {np.mean(ours):.4f} | {half:.1%} | {holding} of {repeats} "
        f"| {variation(ours)} | {variation(theirs)} "
        f"| {np.median(ours_ms):.3f} ms, {variation(ours_ms)} "
        f"| {np.median(theirs_ms):.3f} ms, {variation(theirs_ms)} | {unstable} of {repeats} |",
        flush=True,
    )
    return true


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=20)
    repeats = parser.parse_args().repeats
    runtime = OnnxRuntime()
    record = AnchorRecord(Path(tempfile.mkdtemp()))
    source = Measured(runtime, timing=Timing(retries=0), record=record)
    models = [runtime.export(REFERENCES[name]()) for name in PAIR]
    print(f"{runtime.device.name}: {PAIR[0]} over {PAIR[1]}, {repeats} repeats\n")
    print(
        "| load | ratio | half interval | holds the idle ratio | its CV, ours | naive "
        "| milliseconds and CV, ours | naive | unstable |"
    )
    print("|---" * 9 + "|")
    print("| none ", end="", flush=True)
    idle = repeat(source, models, repeats)
    others = [multiprocessing.Process(target=busy, daemon=True) for _ in range(os.cpu_count() or 1)]
    for other in others:
        other.start()
    time.sleep(1)
    print(f"| {len(others)} busy processes ", end="", flush=True)
    repeat(source, models, repeats, idle)
    for other in others:
        other.terminate()


if __name__ == "__main__":
    main()
