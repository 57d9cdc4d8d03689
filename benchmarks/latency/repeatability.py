"""Repeatability of a measurement: the ratio of two networks, measured repeatedly.

    python -m benchmarks.latency.repeatability            # 20 repeats idle, then 20 with every core loaded

Our interleaved measurement is compared with the usual way in the same run: the mean of 50 runs of one
network after the mean of 50 of the other, by wall clock. Reported is the coefficient of variation of the
ratio and of the milliseconds, for both.
"""

import argparse
import multiprocessing
import os
import time

import numpy as np

from latency import Measured, Timing
from latency.runtimes.onnx_runtime import OnnxRuntime
from search_spaces import REFERENCES

PAIR = ("mobilenet_v3_large", "mobilenet_v2")


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


def repeat(source: Measured, models: list[bytes], repeats: int) -> None:
    """Print a row: repeat both ways of measuring."""
    ours, theirs, ours_ms, theirs_ms, unstable = [], [], [], [], 0
    for _ in range(repeats):
        first, second = source.measure(models)
        ours.append(first.over(second).value)
        ours_ms.append(first.latency.median_ms)
        unstable += not first.latency.stable
        one, two = naive(models, source.runtime)  # type: ignore[arg-type]
        theirs.append(one / two)
        theirs_ms.append(one)
    print(
        f"| {np.mean(ours):.4f} | {variation(ours)} | {variation(theirs)} "
        f"| {np.median(ours_ms):.3f} ms, {variation(ours_ms)} "
        f"| {np.median(theirs_ms):.3f} ms, {variation(theirs_ms)} | {unstable} of {repeats} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=20)
    repeats = parser.parse_args().repeats
    runtime = OnnxRuntime()
    source = Measured(runtime, timing=Timing(retries=0))
    models = [runtime.export(REFERENCES[name]()) for name in PAIR]
    print(f"{runtime.device.name}: {PAIR[0]} over {PAIR[1]}, {repeats} repeats\n")
    print("| load | ratio | its CV, ours | naive | milliseconds and CV, ours | naive | unstable |")
    print("|---|---|---|---|---|---|---|")
    print("| none ", end="", flush=True)
    repeat(source, models, repeats)
    others = [multiprocessing.Process(target=busy, daemon=True) for _ in range(os.cpu_count() or 1)]
    for other in others:
        other.start()
    time.sleep(1)
    print(f"| {len(others)} busy processes ", end="", flush=True)
    repeat(source, models, repeats)
    for other in others:
        other.terminate()


if __name__ == "__main__":
    main()
