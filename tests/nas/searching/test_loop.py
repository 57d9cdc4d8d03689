import contextlib
import json
import random
from dataclasses import replace

import numpy as np
import pytest

from controllers import make_controller
from latency import Latency, MeasurementError, open_device
from nas.engine.job import Outcome, trial_seed
from nas.engine.runner import RunStoppedError, run_serially
from nas.engine.watching import Silent
from nas.searching.results.estimates import estimates, finalists
from nas.searching.reward import Reward
from search_spaces import InputError, load_space
from tests.nas.conftest import Told, oracle, without_times


class InterruptedHereError(Exception):
    pass


def finish(loop, evaluate=oracle):
    run_serially(loop, evaluate)
    return loop


def test_a_search_trains_all_then_the_best_longer(make_loop):
    loop = finish(make_loop())
    trials = loop.logs.trials
    assert [trial.index for trial in trials] == list(range(23))
    assert [trial.batch for trial in trials] == [0] * 5 + [1] * 5 + [2] * 5 + [3] * 5 + [4] * 3
    told = estimates(loop.plan.space.arities, trials)
    within = [trial for trial in trials if trial.latency_ms <= 30.0]
    assert len(within) > 2
    best = sorted(within, key=lambda trial: -told[trial.index].accuracy)[:2]
    kinds = [(trial.kind, trial.index) for trial in loop.logs.finals]
    assert kinds == [("final", t.index) for t in best] + [("repeat", 0), ("repeat", 1)]
    assert loop.folder.weights_path(("final", best[0].index)).read_bytes() == b"w"


def test_the_controller_learns_whole_batches_in_the_order_asked(make_loop):
    told = []

    class Spy:
        def __init__(self, inner):
            self.inner, self.asked = inner, []

        def ask(self, n):
            self.asked.append(self.inner.ask(n))
            return self.asked[-1]

        def tell(self, scored):
            told.append(list(scored))
            self.inner.tell(scored)

    loop = make_loop()
    loop.plan.controller = Spy(loop.plan.controller)
    jobs = []
    while (job := loop.next_job()) is not None:  # outcomes come back in any order
        jobs.append(job)
        if len(jobs) == 3:
            for out in random.Random(0).sample(jobs, 3):
                loop.record(out, oracle(out))
            jobs = []
        elif not loop.runner._batch.queue:
            for out in jobs:
                loop.record(out, oracle(out))
            jobs = []
    assert [[tokens for tokens, _ in batch] for batch in told] == loop.plan.controller.asked
    rewards = [reward for batch in told for _, reward in batch]
    assert rewards == [trial.reward for trial in loop.logs.trials]


def test_none_while_a_batch_is_out(make_loop):
    loop = make_loop()
    jobs = [loop.next_job() for _ in range(5)]
    assert all(jobs)
    assert loop.next_job() is None
    assert not loop.done
    for job in jobs:
        loop.record(job, oracle(job))
    assert loop.next_job().index >= 5


def test_dearest_networks_start_first(make_loop):
    from search_spaces import count

    loop = make_loop()
    madds = [count(loop.next_job().spec).madds for _ in range(5)]
    assert madds == sorted(madds, reverse=True)


@pytest.mark.parametrize("stop_after", range(0, 27, 2))
def test_an_interrupted_search_goes_on_as_if_nothing_was(make_loop, tmp_path, stop_after):
    whole = finish(make_loop(tmp_path / "whole"))
    calls = 0

    def dying(job):
        nonlocal calls
        if calls == stop_after:
            raise InterruptedHereError
        calls += 1
        return oracle(job)

    part = make_loop(tmp_path / "part")
    with contextlib.suppress(InterruptedHereError):
        while (job := part.next_job()) is not None:
            part.record(job, dying(job))
    trained = []
    resumed = make_loop(tmp_path / "part")
    finish(resumed, lambda job: (trained.append(job), oracle(job))[1])
    assert without_times(resumed.logs.trials) == without_times(whole.logs.trials)
    assert without_times(resumed.logs.finals) == without_times(whole.logs.finals)
    assert len(trained) == 27 - stop_after  # nothing finished is trained again
    assert not list((tmp_path / "part").glob("*.ahead.jsonl"))


def test_trials_that_finish_early_wait_for_their_turn_and_survive(make_loop):
    loop = make_loop()
    jobs = [loop.next_job() for _ in range(5)]
    late = [job for job in jobs if job.index != 0]
    for job in late:
        loop.record(job, oracle(job))
    assert (loop.folder / "trials.jsonl").exists() is False
    assert len((loop.folder / "trials.ahead.jsonl").read_text().splitlines()) == 4
    resumed = make_loop()  # as after a crash
    assert resumed.next_job().index == 0
    assert resumed.next_job() is None


def test_a_cut_last_line_is_dropped_and_its_trial_run_again(make_loop):
    whole = without_times(finish(make_loop()).logs.trials)
    path = make_loop().folder / "trials.jsonl"
    content = path.read_bytes()
    (path.parent / "finals.jsonl").unlink()
    for cut in (1, 40, 300):
        path.write_bytes(content[:-cut])
        trained = []
        resumed = make_loop()
        finish(resumed, lambda job: (trained.append(job.index), oracle(job))[1])  # noqa: B023
        assert without_times(resumed.logs.trials) == whole
        assert trained[0] == 22
        (path.parent / "finals.jsonl").unlink()


def test_a_damaged_line_within_is_not_passed_over(make_loop):
    finish(make_loop())
    path = make_loop().folder / "trials.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines[:3], "{broken\n", *lines[4:]]))
    with pytest.raises(InputError, match=r"trials\.jsonl, line 4: damaged"):
        make_loop()


def test_a_log_of_another_run_is_refused(make_loop):
    finish(make_loop(seed=3))
    with pytest.raises(InputError, match="search 0 is not what this run would ask"):
        finish(make_loop(seed=4))


def test_each_trial_has_its_own_seed():
    seeds = {
        trial_seed(7, index, kind) for index in range(50) for kind in ("search", "final", "repeat")
    }
    assert len(seeds) == 150
    assert trial_seed(7, 3) != trial_seed(8, 3)


def test_failures_score_zero_and_the_search_goes_on(make_loop):
    def flaky(job):
        if job.index % 4 == 1:
            raise MemoryError("out of memory\nand more lines")
        return Outcome(None, "diverged: nan") if job.index % 4 == 2 else oracle(job)

    trials = finish(make_loop(), flaky).logs.trials
    assert trials[1].error == "MemoryError: out of memory"
    assert trials[2].error == "diverged: nan"
    assert trials[1].reward == trials[2].reward == 0.0
    assert trials[3].ok
    assert len(trials) == 23


def test_networks_that_cannot_be_measured_fail_untrained(make_loop):
    inner, seen = open_device("madds:1"), []

    def measure(spec) -> Latency:
        seen.append(spec)
        if len(seen) == 2:
            raise MeasurementError("device lost")
        return inner.latency(spec)

    trained = []
    loop = make_loop(sources=[Told(measure)])
    finish(loop, lambda job: (trained.append(job.index), oracle(job))[1])
    assert loop.logs.trials[1].error == "latency: device lost"
    assert 1 not in trained
    assert loop.logs.trials[1].latency is None
    json.dumps(loop.logs.trials[1].to_dict())


def test_a_whole_failing_batch_stops_the_search_with_the_reason(make_loop):
    def bad_from_5(job):
        return Outcome(None, "CUDA is gone") if job.index >= 5 else oracle(job)

    with pytest.raises(RunStoppedError, match="all 5 trials of a batch failed: CUDA is gone"):
        finish(make_loop(), bad_from_5)
    # A resumed run tries the failures again: the machine may have been at fault.
    resumed, tried = make_loop(), []
    finish(resumed, lambda job: (tried.append(job.index), oracle(job))[1])
    assert sorted(tried[:5]) == [5, 6, 7, 8, 9]
    assert all(trial.ok for trial in resumed.logs.trials)
    assert [trial.index for trial in resumed.logs.trials] == list(range(23))


@pytest.mark.parametrize("batch_size", [1, 10])
def test_one_failure_does_not_end_a_search_whatever_its_batch(make_loop, batch_size):
    """The last of 21 trials is a batch of its own where batches are of ten."""

    def bad_at_20(job):
        return Outcome(None, "diverged") if job.index == 20 else oracle(job)

    loop = finish(make_loop(trials=21, batch_size=batch_size), bad_at_20)
    assert loop.logs.trials[20].error == "diverged"
    assert len(loop.logs.finals) == 4


def test_failures_one_after_another_end_it_also_in_batches_of_one(make_loop):
    def bad_from_5(job):
        return Outcome(None, "CUDA is gone") if job.index >= 5 else oracle(job)

    for _ in range(2):  # where the third fails again, the run stops again
        with pytest.raises(RunStoppedError, match="the last 3 networks failed: CUDA is gone"):
            finish(loop := make_loop(batch_size=1), bad_from_5)
        assert [trial.ok for trial in loop.logs.trials] == [True] * 5 + [False] * 3


@pytest.mark.parametrize(
    ("accuracy", "reward", "said"),
    [
        (float("nan"), None, "accuracy is nan, its reward nan"),
        (0.5, float("inf"), "accuracy is 0.5, its reward inf"),
    ],
)
def test_what_is_no_number_is_a_failure_that_can_be_replayed(make_loop, accuracy, reward, said):
    def evaluate(job):
        return Outcome(accuracy) if job.index == 1 else oracle(job)

    def rewarded(value, _ms):
        return reward if reward is not None and value == accuracy else value

    whole = finish(make_loop(reward=rewarded), evaluate)
    failed = whole.logs.trials[1]
    assert (failed.accuracy, failed.reward, failed.error) == (None, 0.0, said)
    assert len(whole.logs.trials) == 23
    again = finish(make_loop(reward=rewarded), evaluate)
    assert without_times(again.logs.trials) == without_times(whole.logs.trials)


@pytest.mark.parametrize("outcome", [Outcome(None), Outcome(0.9, "diverged")])
def test_an_outcome_has_either_an_accuracy_or_an_error(make_loop, outcome):
    """A reward below 0 must not make an evaluation without accuracy the best trial."""
    loop = make_loop(trials=8, batch_size=4, reward=lambda accuracy, ms: accuracy - ms[0])
    told = []
    loop.plan.controller.tell = told.append
    finish(loop, lambda job: outcome if job.index == 1 else oracle(job))
    failed = loop.logs.trials[1]
    assert not failed.ok
    assert failed.accuracy is None
    assert failed.error == (outcome.error or "the evaluation gave no accuracy")
    scores = [score for _, score in told[0]]
    assert scores[1] == min(scores) < 0.0
    assert failed.fingerprint not in {trial.fingerprint for trial in loop.plan._finals()[0]}


def test_trials_without_accuracy_stop_a_search_as_other_failures_do(make_loop):
    with pytest.raises(RunStoppedError, match="failed: the evaluation gave no accuracy"):
        finish(make_loop(), lambda job: Outcome(None))


def test_a_trial_without_accuracy_in_an_old_log_is_no_success(make_loop):
    loop = finish(make_loop(trials=5))
    assert not replace(loop.logs.trials[0], accuracy=None).ok


def test_numbers_of_the_users_code_are_plain_in_the_log(make_loop):
    def evaluate(job):
        plain = oracle(job)
        return replace(
            plain, accuracy=np.float32(plain.accuracy), train_s=np.float32(2.0), px=np.int64(64)
        )

    def rewarded(accuracy, ms):
        return np.float32(accuracy)

    whole = finish(make_loop(trials=5, reward=rewarded), evaluate)
    trial = whole.logs.trials[0]
    numbers = (trial.accuracy, trial.reward, trial.train_s, trial.px)
    assert [type(number) for number in numbers] == [float, float, float, int]
    again = finish(make_loop(trials=5, reward=rewarded), evaluate)
    assert without_times(again.logs.trials) == without_times(whole.logs.trials)


@pytest.mark.parametrize("accuracy", ["high", [0.5, 0.6]])
def test_an_accuracy_that_is_no_number_is_a_failure(make_loop, accuracy):
    loop = finish(make_loop(), lambda job: Outcome(accuracy) if job.index == 1 else oracle(job))
    assert "Error: " in loop.logs.trials[1].error


def test_a_reward_that_raises_is_a_failed_trial(make_loop):
    def rewarded(accuracy, ms):
        return Reward(alpha=-400.0)(accuracy, 0.1 if accuracy == 0.5 else 1.0, target_ms=1.0)

    loop = make_loop(reward=rewarded)
    finish(loop, lambda job: Outcome(0.5) if job.index == 1 else oracle(job))
    failed = loop.logs.trials[1]
    assert failed.error == ("accuracy is 0.5, its reward failed: OverflowError: math range error")
    assert len(loop.logs.trials) == 23


class Listing:
    """Proposes lists of NumPy's integers."""

    def __init__(self, inner):
        self.inner, self.told = inner, []

    def ask(self, n):
        return [list(np.array(tokens)) for tokens in self.inner.ask(n)]

    def tell(self, scored):
        self.told.append(list(scored))
        self.inner.tell(scored)


def test_a_controller_that_proposes_lists_can_be_resumed(make_loop):
    def make():
        controller = make_controller("evolution", make_loop().plan.space.arities, seed=3)
        return make_loop(controller=Listing(controller))

    whole = finish(make())
    again = finish(make(), lambda job: pytest.fail(f"trains {job.key} again"))
    assert without_times(again.logs.trials) == without_times(whole.logs.trials)
    assert again.plan.controller.told == whole.plan.controller.told


def test_a_failure_is_told_as_no_better_than_anything(make_loop):
    """A reward below 0 must not make crashing the best that a network can do."""
    loop = make_loop(trials=8, batch_size=4, reward=lambda accuracy, ms: accuracy - ms[0])
    told = []
    loop.plan.controller.tell = told.append
    finish(loop, lambda job: Outcome(None, "diverged") if job.index % 4 == 1 else oracle(job))
    first, second = ([score for _, score in batch] for batch in told)
    assert max(first + second) < 0.0
    assert first[1] == min(first)
    assert second[1] == min(first + second)
    assert [trial.reward for trial in loop.logs.trials[1::4]] == [0.0, 0.0]


def test_latencies_are_measured_while_nothing_trains(make_loop):
    out = set()

    def measure(spec):
        assert not out, "measured while trials were training"
        return open_device("madds:1").latency(spec)

    loop = make_loop(sources=[Told(measure)])
    while (job := loop.next_job()) is not None or out:
        if job is not None:
            out.add(job)
            continue
        done = out.pop()
        loop.record(done, oracle(done))


def test_finalists_are_distinct_the_most_accurate_within_the_target_first(make_loop):
    loop = finish(make_loop())
    trials = loop.logs.trials
    target_ms = sorted(t.latency_ms for t in trials)[10]
    ranked = finalists(
        [*trials, *trials], targets_ms=[target_ms], reward=loop.plan.reward, estimates={}
    )
    names = [trial.fingerprint for trial in ranked]
    assert len(set(names)) == len(names) == len({trial.fingerprint for trial in trials})
    within = [trial.latency_ms <= target_ms for trial in ranked]
    count = sum(within)
    assert 2 < count < len(ranked) - 2
    assert within == sorted(within, reverse=True)
    accuracies = [trial.accuracy for trial in ranked[:count]]
    assert accuracies == sorted(accuracies, reverse=True)
    rewards = [trial.reward for trial in ranked[count:]]
    assert rewards == sorted(rewards, reverse=True)
    assert [trial.reward for trial in ranked[:count]] != sorted(
        (trial.reward for trial in ranked[:count]), reverse=True
    )


def test_a_watcher_hears_everything_once(make_loop):
    class Ear(Silent):
        def __init__(self):
            self.heard = []

        def finished(self, trial, *, replayed):
            self.heard.append((trial.kind, trial.index, replayed))

        def told(self, batch, controller):
            self.heard.append(("told", batch, None))

    ear = Ear()
    finish(make_loop(watcher=ear))
    assert [h[1] for h in ear.heard if h[0] == "told"] == [0, 1, 2, 3, 4]
    assert sorted(h[1] for h in ear.heard if h[0] == "search") == list(range(23))
    again = Ear()
    finish(make_loop(watcher=again))
    assert {h[2] for h in again.heard if h[0] == "search"} == {True}
    assert len([h for h in again.heard if h[0] == "final"]) == 2


class Repeating:
    """Asks for the same two networks again and again."""

    def __init__(self, arities):
        self.arities, self.told = arities, []

    def ask(self, n):
        few = [tuple(0 for _ in self.arities), tuple(1 for _ in self.arities)]
        return [few[place % 2] for place in range(n)]

    def tell(self, scored):
        self.told.append(list(scored))


def test_a_network_is_trained_once(make_loop):
    loop = make_loop(trials=8, batch_size=4)
    loop.plan.controller = Repeating(loop.plan.space.arities)
    trained = []
    finish(loop, lambda job: (trained.append(job), oracle(job))[1])
    assert [job.kind for job in trained].count("search") == 2
    trials = loop.logs.trials
    assert [trial.index for trial in trials] == list(range(8))
    assert {(t.accuracy, t.reward) for t in trials[::2]} == {(trials[0].accuracy, trials[0].reward)}
    assert [score for batch in loop.plan.controller.told for _, score in batch] == [
        t.reward for t in trials
    ]
    assert sorted(t.index for t in loop.logs.finals if t.kind == "repeat") == [0, 1]


@pytest.mark.parametrize("stop_after", [0, 1, 2, 3])
def test_a_network_is_trained_once_also_after_an_interruption(make_loop, tmp_path, stop_after):
    def begin(name):
        loop = make_loop(tmp_path / name, trials=8, batch_size=4)
        loop.plan.controller = Repeating(loop.plan.space.arities)
        return loop

    whole = finish(begin("whole"))
    part = begin("part")
    for _ in range(stop_after):
        if (job := part.next_job()) is not None:
            part.record(job, oracle(job))
    trained = []
    again = finish(begin("part"), lambda job: (trained.append(job), oracle(job))[1])
    assert without_times(again.logs.trials) == without_times(whole.logs.trials)
    assert [job.kind for job in trained].count("search") == max(0, 2 - stop_after)


def test_one_that_failed_fails_with_its_twins_and_is_tried_again_later(make_loop):
    loop = make_loop(trials=8, batch_size=4)
    loop.plan.controller = Repeating(loop.plan.space.arities)
    trained = []

    def moody(job):
        trained.append(job)
        return Outcome(None, "diverged") if job.kind == "search" and job.index == 0 else oracle(job)

    finish(loop, moody)
    assert [trial.ok for trial in loop.logs.trials] == [
        False,
        True,
        False,
        True,
        True,
        True,
        True,
        True,
    ]
    assert [job.index for job in trained if job.kind == "search"] == sorted([0, 1, 4])


def test_finals_that_all_failed_are_tried_again(make_loop):
    """Perhaps the machine was at fault: a resumed search must not end as it did before."""

    def finals_fail(job):
        return Outcome(None, "worker died") if job.kind == "final" else oracle(job)

    loop = make_loop()
    finish(loop, finals_fail)
    assert [trial.ok for trial in loop.logs.finals] == [False, False, True, True]
    trained = []

    def mended(job):
        trained.append((job.kind, job.index))
        return oracle(job)

    again = finish(make_loop(), mended)
    assert [kind for kind, _ in trained] == ["final", "final"]
    assert all(trial.ok for trial in again.logs.finals)
    assert [t.kind for t in again.logs.finals] == ["final", "final", "repeat", "repeat"]
    assert {t.index for t in again.logs.finals if t.kind == "final"} == {i for _, i in trained}


def test_finals_of_another_plan_are_refused(make_loop):
    loop = finish(make_loop(finalists=3))
    with pytest.raises(
        InputError, match=r"finals\.jsonl: final \d+ is not what this run would ask"
    ):
        finish(make_loop(finalists=2))
    # Nor is one taken that had not had its turn when the run was interrupted.
    log = loop.folder / "finals.jsonl"
    third = log.read_text().splitlines(keepends=True)[2]
    log.unlink()
    (loop.folder / "finals.ahead.jsonl").write_text(third)
    with pytest.raises(
        InputError, match=r"finals\.jsonl: final \d+ is not what this run would ask"
    ):
        finish(make_loop(finalists=2))


def test_a_log_of_other_networks_is_refused(make_loop):
    finish(make_loop())
    other = load_space("mnasnet", resolution=96, classes=4)
    with pytest.raises(InputError, match="search 0 is not what this run would ask"):
        make_loop(space=other).next_job()


def test_what_is_no_outcome_is_a_failure_that_says_so(make_loop):
    with pytest.raises(RunStoppedError, match="evaluate returned float, not an Outcome"):
        finish(make_loop(), lambda job: 0.5)


def test_finals_queue_by_the_length_that_they_train(make_loop):
    loop = make_loop(trials=4, batch_size=4, finalists=1, repeats=1)
    loop.plan.final_length = 7.0
    lengths = {}

    def evaluate(job):
        lengths[job.kind] = job.length
        return oracle(job)

    finish(loop, evaluate)
    assert lengths == {"search": 1.0, "final": 7.0, "repeat": 1.0}
