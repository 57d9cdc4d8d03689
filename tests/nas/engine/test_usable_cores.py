"""Cores of a process under a batch system or in a container."""

import os

import pytest
import ray

from nas.engine.on_ray.cluster import Resources, cluster
from nas.engine.schedule_config import ScheduleConfig
from nas.training_runs.config import TrainSchedule
from nas.usable_cores import usable_cores

CHOSEN = 6


@pytest.fixture(autouse=True)
def chosen(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 128)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(CHOSEN)), raising=False)


def system(root, groups, **files):
    """Write the files of control groups."""
    for name, text in {"proc/self/cgroup": groups, **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


V2, V1 = "sys/fs/cgroup", "sys/fs/cgroup/cpu"
DOCKER = "4:memory:/docker/1f\n3:cpu,cpuacct:/docker/1f\n0::/docker/1f\n"


def quota(folder, us, period="100000"):
    return {f"{folder}/cpu.cfs_quota_us": f"{us}\n", f"{folder}/cpu.cfs_period_us": f"{period}\n"}


@pytest.mark.parametrize(
    ("groups", "files", "cores"),
    [
        ("0::/\n", {}, CHOSEN),
        ("0::/\n", {f"{V2}/cpu.max": "max 100000\n"}, CHOSEN),
        ("0::/\n", {f"{V2}/cpu.max": "200000 100000\n"}, 2),
        ("0::/\n", {f"{V2}/cpu.max": "250000 100000\n"}, 3),
        ("0::/\n", {f"{V2}/cpu.max": "20000 100000\n"}, 1),
        ("0::/\n", {f"{V2}/cpu.max": "6400000 100000\n"}, CHOSEN),
        ("0::/job/step\n", {f"{V2}/job/cpu.max": "300000 100000\n"}, 3),
        ("0::/../other\n", {f"{V2}/cpu.max": "100000 100000\n"}, 1),
        (DOCKER, quota(V1, -1), CHOSEN),
        (DOCKER, quota(V1, 200000), 2),  # the group's path is the host's
        (DOCKER, quota(f"{V1}/docker/1f", 75000, period=50000), 2),
        ("4:memory:/\n", quota(V1, 200000), CHOSEN),
    ],
)
def test_a_quota_is_rounded_up(tmp_path, groups, files, cores):
    assert usable_cores(system(tmp_path, groups, **files)) == cores


def test_a_system_without_affinity_and_groups(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity")
    assert usable_cores(tmp_path) == 128
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert usable_cores(tmp_path) == 1


def test_a_schedule_fits_the_cores():
    cores = usable_cores()
    assert cores <= CHOSEN
    assert ScheduleConfig().at_once == cores
    assert TrainSchedule(workers=2).cpus == max(1, cores // 2)


@pytest.mark.parametrize(
    ("resources", "cpus"),
    [
        (Resources(), CHOSEN),
        (Resources(cpus_per_trial=2), CHOSEN),
        (Resources(workers=200, cpus_per_trial=2), 400),
        (Resources(address="auto"), None),
    ],
)
def test_a_cluster_started_here_has_them(monkeypatch, resources, cpus):
    given = {}
    monkeypatch.setattr("nas.engine.on_ray.cluster.usable_cores", lambda: CHOSEN)
    monkeypatch.setattr(ray, "init", lambda **options: given.update(options))
    with cluster(resources, usage_stats=False):
        assert given.get("num_cpus") == cpus
