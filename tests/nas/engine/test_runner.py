"""Any plan on the runner: what it is sent, what is on disk by then, and what ends it."""

from dataclasses import replace

import pytest

from latency import DeviceLostError, Latency, MeasurementError, open_device
from nas.engine.folder.run_folder import RunFolder
from nas.engine.job import Job, Outcome
from nas.engine.run_logs import RunLogs
from nas.engine.runner import BatchRunner, RunStoppedError, run_serially
from nas.engine.trial import read_trials
from nas.engine.watching import Silent
from search_spaces import REFERENCES, InputError

NETWORKS = [
    REFERENCES["mobilenet_v3_small"](width=0.35, resolution=32, classes=n) for n in range(2, 8)
]
DEVICE = open_device("madds:1").device


def job(index, *, network=None, kind="search", **more):
    spec = NETWORKS[index if network is None else network]
    return Job(index, kind, 0, (), spec, seed=index, **more)


def evaluate(job):
    return Outcome(0.5 + job.index / 100)


@pytest.fixture
def start(tmp_path):
    def made(plan, **parts):
        logs = RunLogs(RunFolder(tmp_path), "trials.jsonl", frozenset({"search", "rung"}))
        defaults = {"reward": lambda job, accuracy: accuracy, "watcher": Silent()}
        return BatchRunner(plan, logs=logs, **(defaults | parts))

    return made


def test_a_plan_is_sent_its_trials_in_the_order_asked_and_returns_its_result(start):
    def plan():
        first = yield [job(0), job(1), job(2)]
        second = yield [job(3)]
        return [trial.index for trial in (*first, *second)]

    runner = start(plan())
    out = [runner.next_job() for _ in range(3)]
    assert runner.next_job() is None
    assert not runner.done
    for one in reversed(out):
        runner.record(one, evaluate(one))
    run_serially(runner, evaluate)
    assert runner.done
    assert runner.result == [0, 1, 2, 3]


def test_a_trial_is_on_disk_before_the_plan_sees_it(start, tmp_path):
    def plan():
        for index in range(4):
            yield [job(index)]
            logged = read_trials(tmp_path / "trials.jsonl")
            assert [trial.index for trial in logged] == list(range(index + 1))

    run_serially(start(plan()), evaluate)


def test_a_batch_may_be_empty_and_a_plan_too(start):
    def plan():
        assert (yield []) == []
        return "nothing"
        yield

    runner = start(plan())
    assert runner.next_job() is None
    assert runner.result == "nothing"


def test_what_a_worker_says_that_is_no_number_is_a_failure(start):
    def plan():
        return (yield [job(0), job(1)])

    runner = start(plan(), reward=lambda job, accuracy: float("inf") if job.index else accuracy)
    run_serially(runner, lambda job: Outcome(float("nan") if job.index == 0 else 0.5))
    assert [trial.error for trial in runner.result] == [
        "accuracy is nan, its reward nan",
        "accuracy is 0.5, its reward inf",
    ]


def test_jobs_are_measured_in_one_go_unless_they_bring_their_latency(start):
    asked = []

    def measure(specs, progress):
        asked.append(len(specs))
        readings = [(Latency.exactly(2.0, DEVICE),) for _ in specs]
        readings[-1] = MeasurementError("unknown operator")
        return readings

    def plan():
        known = (Latency.exactly(1.0, DEVICE),)
        return (yield [job(0), job(1, latencies=known), job(2), job(3, problem="too large")])

    runner = start(plan(), measure=measure)
    trained = []
    run_serially(runner, lambda job: (trained.append(job.index), evaluate(job))[1])
    assert asked == [2]
    assert sorted(trained) == [0, 1]
    assert [trial.latency_ms for trial in runner.result] == [2.0, 1.0, float("inf"), float("inf")]
    assert [trial.error for trial in runner.result[2:]] == [
        "latency: unknown operator",
        "too large",
    ]


@pytest.mark.parametrize("reuse", [True, False])
def test_equal_networks_train_once_where_outcomes_are_reused(start, reuse):
    def plan():
        first = yield [job(0), job(1, network=0), job(2)]
        return [*first, *(yield [job(3, network=2)])]

    runner = start(plan(), reuse=frozenset({"search"} if reuse else ()))
    trained = []
    run_serially(runner, lambda job: (trained.append(job.index), evaluate(job))[1])
    assert sorted(trained) == ([0, 2] if reuse else [0, 1, 2, 3])
    assert [trial.accuracy for trial in runner.result] == (
        [0.50, 0.50, 0.52, 0.52] if reuse else [0.50, 0.51, 0.52, 0.53]
    )


def test_it_stops_once_nothing_works_and_tries_that_again_when_it_resumes(start, tmp_path):
    def plan():
        for index in range(6):
            yield [replace(job(index), batch=index)]

    def broken(job):
        return Outcome(None, "no GPU") if job.index >= 2 else evaluate(job)

    with pytest.raises(RunStoppedError, match="the last 3 networks failed: no GPU"):
        run_serially(start(plan(), hopeless=3), broken)
    assert [trial.ok for trial in read_trials(tmp_path / "trials.jsonl")] == [True] * 2 + [
        False
    ] * 3
    tried = []
    run_serially(start(plan(), hopeless=3), lambda job: (tried.append(job.index), evaluate(job))[1])
    assert tried == [4, 5]


def test_a_plan_that_gives_up_or_loses_its_device_stops_the_run(start):
    def gives_up():
        yield [job(0)]
        raise RunStoppedError("all proposals failed")

    def loses_the_device():
        yield [job(1)]
        raise DeviceLostError("unplugged")

    with pytest.raises(RunStoppedError, match="all proposals failed"):
        run_serially(start(gives_up()), evaluate)
    with pytest.raises(InputError, match="search 0 is not what this run would ask"):
        run_serially(start(loses_the_device()), evaluate)


def test_a_lost_device_is_said_with_the_way_to_go_on(start):
    def plan():
        yield [job(0)]
        raise DeviceLostError("unplugged")

    with pytest.raises(RunStoppedError, match=r"the device is lost \(unplugged\).*then resume"):
        run_serially(start(plan()), evaluate)


def test_finals_have_a_log_and_weights_of_their_own(start, tmp_path):
    def plan():
        yield [job(0)]
        yield [job(0, kind="final"), job(0, kind="repeat")]

    def with_weights(job):
        return Outcome(0.5, weights=b"weights" if job.kind == "final" else None)

    runner = start(plan())
    run_serially(runner, with_weights)
    assert [trial.kind for trial in runner.logs.finals] == ["final", "repeat"]
    assert (tmp_path / "weights" / "final-0.pt").read_bytes() == b"weights"
    assert RunFolder(tmp_path).weights_path(("final", 0)).name == "final-0.pt"


def test_weights_of_runs_before_are_found(tmp_path):
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "trial-7.pt").write_bytes(b"old")
    assert RunFolder(tmp_path).weights_path(("final", 7)).read_bytes() == b"old"
