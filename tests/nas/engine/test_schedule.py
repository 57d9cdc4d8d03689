"""Ray for real: the same search on workers, their deaths, a cluster of several nodes."""

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from latency import open_device
from nas.engine.job import Outcome
from nas.engine.measuring import measure
from nas.engine.on_ray.cluster import Resources, holding
from nas.engine.on_ray.tune import run_on_ray
from nas.engine.runner import RunStoppedError, run_serially
from search_spaces import InputError
from tests.nas.conftest import accuracy_of, oracle, without_times

pytestmark = [pytest.mark.ray, pytest.mark.slow]


class Oracle:
    """A picklable evaluator that may die, raise or be slow where it is told to."""

    def __init__(self, folder: Path, *, die=(), die_once=(), error=()):
        self.folder, self.die, self.die_once, self.error = folder, die, die_once, error

    def __call__(self, job):
        first = self.folder / f"tried-{job.kind}-{job.index}"
        tried = first.exists()
        first.touch()
        if job.index in self.die or (job.index in self.die_once and not tried):
            os.kill(os.getpid(), signal.SIGKILL)
        if job.index in self.error:
            raise RuntimeError("no memory")
        time.sleep(0.02 * (job.index % 3))
        return Outcome(accuracy_of(job), weights=b"w" if job.kind == "final" else None)


@pytest.fixture
def serial(make_loop, tmp_path):
    loop = make_loop(tmp_path / "serial", trials=12, batch_size=5)
    run_serially(loop, oracle)
    return loop


@pytest.mark.parametrize("workers", [2])
def test_any_number_of_workers_gives_the_log_of_a_serial_run(make_loop, tmp_path, serial, workers):
    loop = make_loop(trials=12, batch_size=5)
    run_on_ray(loop, Oracle(tmp_path), Resources(workers=workers))
    assert without_times(loop.logs.trials) == without_times(serial.logs.trials)
    assert without_times(loop.logs.finals) == without_times(serial.logs.finals)
    best = loop.logs.finals[0]
    assert loop.folder.weights_path(best.key).read_bytes() == b"w"


def test_sigterm_stays_the_programs_own(make_loop, tmp_path):
    """Ray puts a handler of its own in place when it starts."""
    seen = []

    def ours(*_):
        raise AssertionError

    def look(trial, *, replayed):
        seen.append(signal.getsignal(signal.SIGTERM))

    before = signal.signal(signal.SIGTERM, ours)
    try:
        loop = make_loop(tmp_path)
        loop.plan.watcher.finished = look
        run_on_ray(loop, Oracle(tmp_path), Resources(workers=1))
    finally:
        signal.signal(signal.SIGTERM, before)
    assert seen
    assert set(seen) == {ours}


@pytest.mark.long
def test_a_dead_worker_is_retried_and_a_deadly_trial_fails(make_loop, tmp_path, serial):
    loop = make_loop(trials=10, batch_size=5)
    oracle = Oracle(tmp_path, die_once=(2,), die=(6,), error=(8,))
    run_on_ray(loop, oracle, Resources(workers=2))
    trials = loop.logs.trials
    assert len(trials) == 10
    assert without_times(trials[:5]) == without_times(serial.logs.trials[:5])
    assert "worker died" in trials[6].error
    assert trials[8].error == "RuntimeError: no memory"
    assert [t.index for t in trials if not t.ok] == [6, 8]


@pytest.mark.long
def test_a_failing_batch_ends_the_search(make_loop, tmp_path):
    loop = make_loop(trials=12, batch_size=3)
    with pytest.raises(RunStoppedError, match="RuntimeError: no memory"):
        run_on_ray(loop, Oracle(tmp_path, error=(3, 4, 5)), Resources(workers=2))
    assert len(loop.logs.trials) == 6


def test_resources_that_the_cluster_lacks_are_refused(make_loop, tmp_path):
    with pytest.raises(InputError, match="gpus_per_trial is 64"):
        run_on_ray(make_loop(), Oracle(tmp_path), Resources(workers=1, gpus_per_trial=64))
    with pytest.raises(InputError, match="cannot reach"):
        run_on_ray(make_loop(), Oracle(tmp_path), Resources(workers=1, address="127.0.0.1:1"))


def test_a_cluster_of_several_nodes(make_loop, tmp_path, serial):
    from ray.cluster_utils import Cluster

    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False}
    )
    try:
        cluster.add_node(num_cpus=2)
        loop = make_loop(trials=12, batch_size=5)
        run_on_ray(loop, Oracle(tmp_path), Resources(address=cluster.address))
    finally:
        cluster.shutdown()
    assert without_times(loop.logs.trials) == without_times(serial.logs.trials)


class Phone:
    """A device that asserts that no other search can have it meanwhile."""

    def __init__(self, device):
        self.device, self.latency_of = device, open_device("madds:1").latency

    def latency(self, spec):
        import ray
        from ray.util.placement_group import placement_group, remove_placement_group

        assert ray.cluster_resources()["device:phone-1"] == 1
        other = placement_group([{"device:phone-1": 1}])
        had = other.wait(0.2)
        remove_placement_group(other)
        assert not had
        return self.latency_of(spec)


def test_a_device_is_the_searchs_own_while_it_is_measured(make_loop, tmp_path, serial):
    phone = Phone(open_device("madds:1").device)
    measured = partial(measure, [phone], hold=partial(holding, ["phone-1"]))
    loop = make_loop(measuring=measured, trials=12, batch_size=5)
    run_on_ray(loop, Oracle(tmp_path), Resources(workers=1, devices=("phone-1",)))
    assert without_times(loop.logs.trials) == without_times(serial.logs.trials)


HOLDER = """
import os, sys, time
import ray
from nas.engine.on_ray.cluster import holding
address, devices, seconds = sys.argv[1], sys.argv[2].split(","), float(sys.argv[3])
ray.init(address=address, log_to_driver=False)
with holding(devices):
    print("has", *devices, flush=True)
    with open(sys.argv[4], "a") as file:
        file.write("begin\\n"); file.flush()
        time.sleep(seconds)
        file.write("end\\n")
"""


@pytest.fixture
def cluster():
    from ray.cluster_utils import Cluster

    devices = {"device:phone-1": 1, "device:phone-2": 1}
    head = {"num_cpus": 1, "include_dashboard": False, "resources": devices}
    there = Cluster(initialize_head=True, head_node_args=head)
    yield there
    there.shutdown()


def start(cluster, devices, seconds, file):
    command = [sys.executable, "-c", HOLDER, cluster.address, devices, str(seconds), str(file)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_searches_of_one_cluster_take_turns(cluster, tmp_path):
    # Named in other orders, so that each could have what the other waits for.
    orders = ("phone-1,phone-2", "phone-2,phone-1", "phone-1")
    searches = [start(cluster, devices, 0.3, tmp_path / "log") for devices in orders]
    assert [search.wait() for search in searches] == [0, 0, 0]
    assert (tmp_path / "log").read_text().split() == ["begin", "end"] * 3


def test_a_killed_search_gives_its_device_back(cluster, tmp_path):
    first = start(cluster, "phone-1", 600, tmp_path / "first")
    assert first.stdout.readline() == "has phone-1\n"
    first.kill()
    first.wait()
    assert start(cluster, "phone-1", 0, tmp_path / "second").wait() == 0
    assert (tmp_path / "second").read_text().split() == ["begin", "end"]


def test_a_device_that_the_cluster_does_not_know_is_said(cluster, make_loop, tmp_path, caplog):
    source = open_device("madds:1")
    measured = partial(measure, [source], hold=partial(holding, ["phone-1", "phone-9"]))
    loop = make_loop(measuring=measured, trials=2, batch_size=2, finalists=1, repeats=0)
    resources = Resources(address=cluster.address, devices=("phone-1", "phone-9"))
    run_on_ray(loop, Oracle(tmp_path), resources)
    assert "the cluster has no resource device:phone-9, so" in caplog.text
    assert """ray start --resources='{"device:phone-9": 1}'""" in caplog.text
