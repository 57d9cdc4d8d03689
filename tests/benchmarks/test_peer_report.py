"""Ours at 60 trials beside peers at 100: arithmetic on made-up curves, and what a kept file must hold."""

import json
import sys
from dataclasses import asdict

import pytest

from benchmarks.controllers import peer_report
from benchmarks.controllers.controller_tables import Table
from benchmarks.controllers.peer_report import Interval, best_peer, by_table, compare
from benchmarks.controllers.searches import Found, Task, read_kept, search, solve_all


def rising(start, *, step=1.0, trials=10, second=0.5):
    """A search whose best value rises by `step` and whose CPU time by `second`, each trial."""
    curve = [start + step * n for n in range(trials)]
    return Found(curve, [], [second * (n + 1) for n in range(trials)])


def test_ours_is_paired_with_a_peer_by_seed():
    ours = {seed: rising(float(seed)) for seed in (0, 1, 2, 7)}
    peer = {seed: rising(seed - 3.0, second=2.0) for seed in (2, 1, 0, 5)}
    result = compare(ours, peer, our_trials=6, peer_trials=10)
    assert result.seeds == 3
    assert (result.peer.mean, result.ours.mean) == (7.0, 6.0)
    assert result.difference == Interval(-1.0, 0.0)  # the same for each seed
    assert result.difference.verdict == "behind"
    assert result.enough == 7  # trials after which our mean is 7
    assert (result.peer_s, result.ours_s) == (20.0, 3.0)


def test_a_peer_may_be_out_of_reach():
    ours, peer = {0: rising(0.0), 1: rising(0.0)}, {0: rising(5.0), 1: rising(6.0)}
    assert compare(ours, peer, our_trials=10, peer_trials=10).enough is None


@pytest.mark.parametrize(
    ("values", "verdict"),
    [([1.0, 1.1, 0.9], "ahead"), ([-1.0, -1.1, -0.9], "behind"), ([1.0, -0.9, 0.1], "level")],
)
def test_a_difference_within_its_interval_is_level(values, verdict):
    assert Interval.of(values).verdict == verdict


def test_an_interval_is_students():
    assert Interval.of([1.0, 3.0]).half == pytest.approx(12.706, abs=1e-3)  # t of one degree


def test_the_best_peer_is_judged_on_shared_seeds():
    lucky = {0: rising(1.0), 1: rising(1.0), 2: rising(100.0)}
    better = {0: rising(2.0), 1: rising(2.0)}
    peers = {"lucky": lucky, "better": better, "once": {0: rising(3.0)}}
    assert best_peer(peers, trials=10, least_seeds=2) == "better"
    assert best_peer(peers, trials=10, least_seeds=1) == "once"
    with pytest.raises(SystemExit, match="no seed was run by all of lucky, late"):
        best_peer({"lucky": lucky, "late": {9: rising(0.0)}}, trials=10, least_seeds=1)
    with pytest.raises(SystemExit, match="no peer has 4 seeds"):
        best_peer(peers, trials=10, least_seeds=4)


def separable(tokens):
    return float(sum(tokens))


def test_a_search_notes_the_controllers_cpu_seconds():
    trials = search("rnn", Table((2, 3, 4), separable), seed=0, batch=5, trials=10)
    seconds = [trial.overhead_s for trial in trials]
    assert 0 < seconds[0] == seconds[4] < seconds[5] == seconds[9]


def test_searches_of_older_versions_are_read_but_not_judged(tmp_path):
    kept = tmp_path / "kept.jsonl"
    task = {"table": "nk", "controller": "screened", "seed": 0, "batch": 10}
    kept.write_text(json.dumps({"task": task, "found": {"curve": [1.0], "chosen": []}}) + "\n")
    found = read_kept(kept)
    assert found == {Task("nk", "screened", 0, 10, trials=200): Found([1.0], [], [])}
    with pytest.raises(SystemExit, match="older version, without CPU time: remove it"):
        by_table(found)


def test_the_report_shows_each_table_with_its_best_peer(tmp_path, monkeypatch, capsys):
    kept = tmp_path / "kept.jsonl"
    starts = {"uniform": 0.0, "evolution-100": 4.0, "optuna-tpe": 3.0}
    found = {
        Task("nk", name, seed, batch=10, trials=10): rising(start + seed)
        for name, start in starts.items()
        for seed in (0, 1)
    }
    with kept.open("w") as log:
        for task, result in found.items():
            log.write(json.dumps({"task": asdict(task), "found": asdict(result)}) + "\n")
    assert solve_all(list(found), kept=kept, jobs=1) == found  # none is run again
    arguments = ["--ours", "uniform", "--our-trials", "9", "--peer-trials", "5"]
    monkeypatch.setattr(sys, "argv", ["peer_report", str(kept), *arguments, "--least-seeds", "2"])
    peer_report.main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("| table | best peer | seeds | peer, N=5 | uniform, N=9 |")
    assert lines[2].split(" | ")[1:3] == ["evolution-100", "2"]
    assert lines[2].endswith("| 8.500 ± 6.353 | +0.000 ± 0.000, level | 9 | 2.50 | 4.50 |")
    assert lines[-1] == "| nk | +1.000 ± 0.000 (2) | +0.000 ± 0.000 (2) |"
