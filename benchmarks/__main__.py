"""Run every benchmark, one after another (`make bench`), on an otherwise idle machine.

Results are copied by hand to RESULTS.md, with the machine and the date.
"""

import runpy
import sys

BENCHMARKS = (
    "benchmarks.training_speed",
    "benchmarks.kept_memory",
    "benchmarks.search_overhead",
    "benchmarks.netadapt_step",
    "benchmarks.repeatability",
    "benchmarks.improvements",
    "benchmarks.published_estimates",
    "benchmarks.quantization",
    "benchmarks.controller_overhead",
    "benchmarks.compare_controllers",
    "benchmarks.controller_ablation",
    "benchmarks.aliases",
)


def main() -> None:
    for name in BENCHMARKS:
        print(f"\n## {name}", flush=True)
        sys.argv = [name]
        runpy.run_module(name, run_name="__main__")


if __name__ == "__main__":
    main()
