"""Searches on several devices, and on devices that are lost."""

import json
import random

import pytest

from latency import Device, DeviceLostError, Latency, MeasurementError, Pool, open_device
from nas.engine.runner import RunStoppedError, run_serially
from nas.engine.trial import Trial
from nas.searching.results.estimates import finalists
from nas.searching.results.search_result import SearchResult, choose_winner
from nas.searching.results.table import frame, pareto_front
from nas.searching.results.writing import best_yaml
from nas.searching.reward import Reward
from nas.searching.sizes import Sizes
from search_spaces import InputError, count
from search_spaces.spec import from_dict, read_yaml
from tests.nas.conftest import oracle, without_times

TWO = [open_device("madds:1"), open_device("pixel1")]
TARGETS_MS = (30.0, 20.0)


class Phone:
    """A stand-in with its own latencies, lost once it has answered `lives` times."""

    def __init__(self, *, lives=None, serial="phone-1"):
        self.device = Device("a phone", serial, make="phone")
        self.lives, self.answered = lives, 0

    def latency(self, spec):
        if self.lives is not None and self.answered >= self.lives:
            raise DeviceLostError("R58M did not come back")
        self.answered += 1
        return Latency.exactly(count(spec).madds / 2e6, self.device)


def finish(loop):
    run_serially(loop, oracle)
    return loop


def both(make_loop, folder=None, **parts):
    return make_loop(folder, sources=TWO, targets_ms=TARGETS_MS, **parts)


def test_the_reward_is_the_product_over_the_devices(make_loop):
    for trial in finish(both(make_loop)).logs.trials:
        one_ms, two_ms = trial.latencies_ms
        factors = (one_ms / 30.0) ** -0.15 * (two_ms / 20.0) ** -0.15
        assert trial.reward == pytest.approx(trial.accuracy * factors, rel=1e-12)
        spec = both(make_loop).plan.space.decode(trial.tokens)
        assert [one_ms, two_ms] == [source.latency(spec).median_ms for source in TWO]


@pytest.mark.parametrize(
    ("reward", "expected"),
    [
        (Reward(), 0.8 * 2.0**-0.15 * 0.5**-0.15),
        (Reward(alpha=-0.1, beta=-0.3), 0.8 * 2.0**-0.3 * 0.5**-0.1),
        (Reward(kind="hard"), 0.4),
        (Reward(kind="absolute"), 0.8 - 0.1 * (1.0 + 0.5)),
    ],
)
def test_rewards_in_closed_form(reward, expected):
    assert reward(0.8, (16.0, 30.0), target_ms=(8.0, 60.0)) == pytest.approx(expected)
    assert reward(0.8, [16.0], target_ms=[8.0]) == reward(0.8, 16.0, target_ms=8.0)
    with pytest.raises(ValueError, match="zip"):
        reward(0.8, (16.0, 30.0), target_ms=8.0)


def test_a_line_of_the_log_has_every_latency(make_loop):
    path = finish(both(make_loop)).folder / "trials.jsonl"
    line = json.loads(path.read_text().splitlines()[0])
    (other,) = line["other_latencies"]
    assert line["latency"]["device"] == TWO[0].device.name
    assert other["device"].startswith("Pixel 1")
    assert other["estimate"]
    assert Trial.from_dict(line).to_dict() == json.loads(json.dumps(line), object_hook=_as_logged)


def _as_logged(data):
    """JSON has lists where the record has tuples."""
    return {k: tuple(v) if k in ("tokens", "ci95_ms", "problems") else v
            for k, v in data.items()}  # fmt: skip


def test_a_line_of_one_device_is_as_it_was(make_loop):
    path = finish(make_loop()).folder / "trials.jsonl"
    line = json.loads(path.read_text().splitlines()[0])
    assert list(line) == [
        "index", "kind", "batch", "tokens", "fingerprint", "seed", "accuracy", "latency", "reward",
        "params", "madds", "error", "time",
    ]  # fmt: skip


@pytest.mark.parametrize("stop_after", [0, 3, 5, 12, 23, 25])
def test_an_interrupted_search_goes_on_as_if_nothing_was(make_loop, tmp_path, stop_after):
    whole = finish(both(make_loop, tmp_path / "whole"))
    part = both(make_loop, tmp_path / "part")
    for _ in range(stop_after):
        job = part.next_job()
        part.record(job, oracle(job))
    resumed = finish(both(make_loop, tmp_path / "part"))
    assert without_times(resumed.logs.trials) == without_times(whole.logs.trials)
    assert without_times(resumed.logs.finals) == without_times(whole.logs.finals)


def test_a_log_of_another_number_of_devices_is_refused(make_loop):
    finish(make_loop())
    with pytest.raises(InputError, match="search 0 is not what this run would ask"):
        both(make_loop).next_job()


def test_finalists_and_winner_are_within_every_target(make_loop, tmp_path):
    searched = finish(both(make_loop))
    trials = searched.logs.trials
    targets_ms = tuple(sorted(t.latencies_ms[place] for t in trials)[12] for place in (0, 1))
    within = {
        t.index
        for t in trials
        if all(a <= b for a, b in zip(t.latencies_ms, targets_ms, strict=True))
    }
    assert 0 < len(within) < 13  # some are within one of them only
    ranked = finalists(trials, targets_ms=targets_ms, reward=searched.plan.reward, estimates={})
    assert {t.index for t in ranked[: len(within)]} == within
    loop = finish(make_loop(tmp_path / "other", sources=TWO, targets_ms=targets_ms))
    assert choose_winner(loop.logs.finals, targets_ms=targets_ms).within(targets_ms)


def test_the_front_by_brute_force():
    rng = random.Random(0)
    lab = [Device("a", "a"), Device("b", "b")]

    def trial(index):
        first, second = (Latency.exactly(float(rng.randint(1, 6)), device) for device in lab)
        return Trial(
            index, "search", 0, (), f"f{index}", 0, rng.randint(1, 9) / 10, (first, second), 0.5, 1, 1,
            None, {},
        )  # fmt: skip

    trials = [trial(index) for index in range(80)]

    def costs(t):
        return (*t.latencies_ms, -t.accuracy)

    def beats(o, t):
        return costs(o) != costs(t) and all(a <= b for a, b in zip(costs(o), costs(t), strict=True))

    best = [t for t in trials if not any(beats(o, t) for o in trials)]
    assert {costs(t) for t in pareto_front(trials)} == {costs(t) for t in best}
    for device in (0, 1):
        front = pareto_front(trials, device=device)
        times = [t.latencies_ms[device] for t in front]
        assert times == sorted(set(times))
        assert [t.accuracy for t in front] == sorted({t.accuracy for t in front})
    columns = frame(trials, sizes=Sizes(32, 64)).columns
    assert {"latency_ms", "latency_2_ms", "latency_2_low_ms", "latency_2_high_ms"} <= set(columns)


def test_the_winners_file_tells_every_latency_and_is_a_spec(make_loop, tmp_path):
    loop = finish(both(make_loop))
    winner = choose_winner(loop.logs.finals, targets_ms=TARGETS_MS)
    spec = loop.plan.space.decode(winner.tokens)
    result = SearchResult(
        loop.folder,
        winner,
        spec,
        True,
        TARGETS_MS,
        None,
        loop.logs.trials,
        loop.logs.finals,
        None,
        Sizes(32, 64),
    )
    text = best_yaml(result)
    comments = [line for line in text.splitlines() if line.startswith("#")]
    assert len(comments) == 3
    assert "(an estimate, not measured) at 64 px, target 20.0 ms: Pixel 1" in comments[2]
    (tmp_path / "best.yaml").write_text(text)
    assert from_dict(read_yaml(tmp_path / "best.yaml")) == spec
    told = result.to_dict()
    assert (told["target_ms"], told["other_targets_ms"]) == (30.0, [20.0])
    assert len(told["other_latencies"]) == 1


@pytest.mark.parametrize("lives", [0, 3, 5, 7, 20])
@pytest.mark.parametrize("beside", [[], TWO[:1]])
def test_a_search_that_loses_its_device_stops_and_resumes_to_the_same_log(
    make_loop, tmp_path, lives, beside
):
    targets_ms = (15.0, 30.0)[: 1 + len(beside)]
    parts = {"targets_ms": targets_ms}
    whole = finish(make_loop(tmp_path / "whole", sources=[Phone(), *beside], **parts))
    part = make_loop(tmp_path / "part", sources=[Phone(lives=lives), *beside], **parts)
    with pytest.raises(RunStoppedError, match="R58M did not come back") as stopped:
        finish(part)
    assert "bring the device back, then resume" in str(stopped.value)
    assert "\n" not in str(stopped.value)
    there = without_times(make_loop(tmp_path / "part", **parts).logs.trials)
    assert there == without_times(whole.logs.trials[: lives - lives % 5])  # batches of 5
    resumed = finish(make_loop(tmp_path / "part", sources=[Phone(), *beside], **parts))
    assert without_times(resumed.logs.trials) == without_times(whole.logs.trials)
    assert without_times(resumed.logs.finals) == without_times(whole.logs.finals)


def test_a_pool_that_is_lost_stops_the_search_and_one_of_it_does_not(make_loop, tmp_path):
    whole = finish(make_loop(tmp_path / "whole", sources=[Pool([Phone()])]))
    less = Pool([Phone(lives=7), Phone(serial="phone-2")])
    assert without_times(finish(make_loop(tmp_path / "less", sources=[less])).logs.trials) == (
        without_times(whole.logs.trials)
    )
    none = Pool([Phone(lives=7), Phone(lives=3, serial="phone-2")])
    with pytest.raises(RunStoppedError, match="no device of the pool is left"):
        finish(make_loop(tmp_path / "none", sources=[none]))
    resumed = finish(make_loop(tmp_path / "none", sources=[Pool([Phone(serial="phone-3")])]))
    assert without_times(resumed.logs.trials) == without_times(whole.logs.trials)


def test_a_refused_network_is_a_failed_trial_and_names_its_device(make_loop):
    class Picky(Phone):
        def latency(self, spec):
            if self.answered == 2:
                self.answered += 1
                raise MeasurementError("unknown operator")
            return super().latency(spec)

    loop = finish(make_loop(sources=[TWO[0], Picky()], targets_ms=(30.0, 15.0)))
    assert loop.logs.trials[2].error == "latency: on a phone: unknown operator"
    assert [t.index for t in loop.logs.trials if not t.ok] == [2]
    assert loop.logs.trials[2].latencies == ()
