"""TFLite's `benchmark_model`: its command line and its output."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

from latency.measuring.source import MeasurementError

_SUMMARY = re.compile(r"Inference \(avg\): +(\S+)(?: +([mnu]?s)\b)?")
_COUNT = re.compile(r"\bcount=(\d+)(?: first=(\S+))? curr=([^\s(]+)")  # or "2000(all same)"
_OPERATOR = re.compile(
    r"op for builtin opcode|unresolved custom op|\bop\b.*not supported", re.IGNORECASE
)
_ERROR = re.compile(r"\bERROR\b|error:|failed", re.IGNORECASE)


@dataclass(frozen=True)
class Benchmark:
    """The program on a phone.

    Attributes:
        program: Its path on the phone.
        core: The core to pin it to.
    """

    program: str
    core: int

    def command(self, model: str, runs: int, *, limit_s: float) -> str:
        """Return the command line for the phone's shell.

        >>> Benchmark("/data/benchmark_model", 7).command("/data/m.tflite", 50, limit_s=30)
        'taskset 80 /data/benchmark_model --graph=/data/m.tflite --num_threads=1 --num_runs=50
        --min_secs=0 --warmup_runs=1 --warmup_min_secs=0.1 --max_secs=30'

        Args:
            model: The model's path on the phone.
            runs: Timed runs.
            limit_s: Seconds after which the program stops by itself.
        """
        words = [
            *("taskset", f"{1 << self.core:x}", self.program, f"--graph={model}"),
            *("--num_threads=1", f"--num_runs={runs}", "--min_secs=0"),
            # Each call is a new process, with cold caches on a core that was idle.
            *("--warmup_runs=1", "--warmup_min_secs=0.1", f"--max_secs={limit_s:g}"),
        ]
        return shlex.join(words)


def parse_times_ms(output: str, *, runs: int) -> list[float]:
    """Parse the time of the first run and the mean of all others.

    Single runs are not printed. The two values stand for a block: the first run of a block does not count
    anyway, and the rest is one value, not many invented ones.

    >>> parse_times_ms('''
    ... count=12 first=50000 curr=42000 min=41000 max=50000 avg=43000 std=2000
    ... count=3 first=30000 curr=21000 min=19000 max=30000 avg=23333.3 std=4000
    ... Inference timings in us: Init: 3214, First inference: 50000, Warmup (avg): 43000,
    ... Inference (avg): 23333.3
    ... ''', runs=3)
    [30.0, 19.99...]

    Raises:
        MeasurementError: The program failed, its output cannot be parsed, or it is LiteRT's program of
            the same name, whose times are in another unit.
    """
    summary, counts = _SUMMARY.search(output), _COUNT.findall(output)
    if summary is not None and summary[2]:
        raise MeasurementError(
            f"benchmark_model printed a mean of {summary[1]} {summary[2]}, as LiteRT's does: give "
            "TFLite's, as in adb:benchmark=./benchmark_model (TensorFlow's site has Android builds)"
        )
    if summary is None or not counts:
        raise MeasurementError(f"benchmark_model: {failure(output)}")
    count, first, last = counts[-1]  # earlier ones belong to the warm-up
    try:
        done, mean_us = int(count), float(summary[1].rstrip(","))
        first_us = float(first or last)  # missing with one run, or equal ones
    except ValueError:
        raise MeasurementError(f"benchmark_model printed {summary[0]!r}, {counts[-1]}") from None
    if done < runs:
        raise MeasurementError(f"benchmark_model did {done} of {runs} runs before its time limit")
    if done == 1:
        return [first_us / 1e3]
    return [first_us / 1e3, (done * mean_us - first_us) / (done - 1) / 1e3]


def failure(output: str) -> str:
    r"""Return the line that explains a failure: one naming an operator, else an error, else the last.

    >>> failure("ERROR: Encountered unresolved custom op: Foo.\nERROR: Node 3 failed to prepare.")
    'ERROR: Encountered unresolved custom op: Foo.'
    """
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    for telling in (_OPERATOR, _ERROR):
        for line in lines:
            if telling.search(line):
                return line
    return lines[-1] if lines else "it printed nothing"
