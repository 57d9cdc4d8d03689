"""The comparison of searches that begin with an earlier one: its tables, its rival, its file."""

import json
import random
from dataclasses import dataclass
from statistics import correlation

import pytest

from benchmarks.controllers.controller_tables import Table
from benchmarks.controllers.kept_searches import solve_all
from benchmarks.controllers.searches import Trial
from benchmarks.controllers.transfer import (
    BEGINNINGS,
    BUDGETS,
    NOTHING,
    Beginning,
    Found,
    Task,
    begun,
    report,
)
from benchmarks.controllers.transfer_pairs import blocks, blocks_like

FLAT = Table((4, 4, 4), lambda tokens: float(sum(tokens)))


@pytest.mark.parametrize("likeness", [0.9, 0.5, 0.0])
def test_the_two_functions_are_as_alike_as_said(likeness):
    source, target, draw = blocks(1), blocks_like(likeness)(1), random.Random(0)
    sample = [tuple(map(draw.randrange, source.arities)) for _ in range(1500)]
    found = correlation([source.value(t) for t in sample], [target.value(t) for t in sample])
    assert found == pytest.approx(likeness, abs=0.2)


def test_the_best_of_the_earlier_search_are_tried_first():
    done = [Trial((a, b, 0), a + b, float(a + b)) for a in range(4) for b in range(4)]
    task = Task("any", "rnn", 0)
    later = begun(task, FLAT, Beginning(100, best=True), None, [*done, *done])
    assert len(later) == max(BUDGETS)
    first = [sum(trial.tokens) for trial in later[:10]]
    assert first == sorted(first, reverse=True)
    assert len({trial.tokens for trial in later[:10]}) == 10
    assert first[0] == 6
    assert first[-1] >= 3


def test_the_report_pairs_searches_by_seed(capsys):
    names = [str(beginning) for beginning in BEGINNINGS["screened"]]
    each = [
        Found({name: [base + place] * 3 for place, name in enumerate(names)}) for base in (1.0, 5.0)
    ]
    report("data", "screened", each)
    plain, policy, best = capsys.readouterr().out.splitlines()
    assert plain.startswith(f"| data | screened | {NOTHING} | 3.000 ± ")
    assert policy.endswith("| +1.000 ± 0.000 | +1.000 ± 0.000 | +1.000 ± 0.000 |")
    assert "+2.000 ± 0.000" in best


@dataclass(frozen=True)
class Number:
    value: int


@dataclass(frozen=True)
class Square:
    value: int


def square(number):
    return Square(number.value**2)


def test_finished_searches_are_read_from_the_file(tmp_path):
    kept = tmp_path / "kept.jsonl"
    kept.write_text(json.dumps({"task": {"value": 2}, "found": {"value": -1}}) + "\n")
    found = solve_all([Number(2), Number(3)], square, Square, kept=kept, jobs=1)
    assert found == {Number(2): Square(-1), Number(3): Square(9)}
    assert len(kept.read_text().splitlines()) == 2
