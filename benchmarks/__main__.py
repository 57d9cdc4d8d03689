"""Run every benchmark, one after another (`make bench`), on an otherwise idle machine.

Results are copied by hand to RESULTS.md, with the machine and the date.
"""

import runpy
import sys

BENCHMARKS = (
    "benchmarks.overhead.training_speed",
    "benchmarks.overhead.kept_memory",
    "benchmarks.overhead.search_overhead",
    "benchmarks.overhead.netadapt_step",
    "benchmarks.training.costs",
    "benchmarks.decoding.decoding_speed",
    "benchmarks.latency.repeatability",
    "benchmarks.latency.improvements",
    "benchmarks.latency.published_estimates",
    "benchmarks.quantization",
    "benchmarks.controllers.controller_overhead",
    "benchmarks.controllers.compare_controllers",
    "benchmarks.controllers.controller_ablation",
    "benchmarks.controllers.aliases",
)


def main() -> None:
    for name in BENCHMARKS:
        print(f"\n## {name}", flush=True)
        sys.argv = [name]
        runpy.run_module(name, run_name="__main__")


if __name__ == "__main__":
    main()
