"""Measure several sides in alternating rounds, each time in a new process."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Iterable, Sequence

Figures = dict[str, float]
Rounds = list[dict[str, Figures]]
"""Figures of each side, by round."""


def measured(module: str, sides: Iterable[str], *, rounds: int) -> Rounds:
    """Run a benchmark with `--only SIDE` and this process's arguments, for each side in each round.

    Other load on the machine then affects all sides alike, and the peak memory is that of one side.
    """
    names = tuple(sides)
    return [{name: _apart(module, name) for name in names} for _ in range(rounds)]


def _apart(module: str, side: str) -> Figures:
    command = [sys.executable, "-m", module, *sys.argv[1:], "--only", side]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return figures


def table(rounds: Rounds, *, first: str, ratio: str) -> str:
    """Tabulate speeds, ratios and peak memory, with the range over rounds.

    Args:
        rounds: Figures with `images_per_s` and `peak_mib`.
        first: The side that the others are compared with: its speed is divided by theirs.
        ratio: What that is called.
    """
    lines = [
        f"| side | images/s, median (min-max) | {ratio}, median of rounds (min-max) | peak MiB |",
        "|---|---|---|---|",
    ]
    for side in rounds[0]:
        speeds = [one[side]["images_per_s"] for one in rounds]
        ratios = [one[first]["images_per_s"] / one[side]["images_per_s"] for one in rounds]
        peak = max(one[side]["peak_mib"] for one in rounds)
        lines.append(f"| {side} | {spread(speeds, '.1f')} | {spread(ratios, '.2f')} | {peak:.0f} |")
    return "\n".join(lines)


def spread(values: Sequence[float], form: str) -> str:
    """Format the median and the range."""
    return f"{statistics.median(values):{form}} ({min(values):{form}}-{max(values):{form}})"
