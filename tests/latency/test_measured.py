"""Measuring on a device with given run times."""

import errno
import json
import multiprocessing
import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from latency import (
    Device,
    DeviceLostError,
    Latency,
    MeasurementError,
    Paced,
    check_latency_source,
)
from latency.measuring.anchor import ANCHOR, AnchorRecord
from latency.measuring.cpu import fastest_core, linux_conditions, pinned
from latency.measuring.device_lock import exclusive_use
from latency.measuring.interleave import interleave
from latency.measuring.measured import Measured
from latency.measuring.raw_times import RawTimes
from latency.measuring.run_clock import run_clock, time_runs
from latency.measuring.runtime import Conditions
from latency.measuring.statistics import Timing
from search_spaces import REFERENCES, count
from search_spaces.spec import from_dict, to_dict

SMALL = REFERENCES["mobilenet_v3_small"](resolution=64)
LARGE = REFERENCES["mobilenet_v3_large"]()


class Network:
    """Takes `ms` times the device's current slowdown."""

    def __init__(self, lab, ms, name="network"):
        self.lab, self.ms, self.name, self.closed = lab, ms, name, False

    def run(self, times):
        taken = []
        for _ in range(times):
            ms = self.ms * self.lab.slowdown()
            self.lab.now_s += ms / 1e3
            taken.append(ms)
        self.lab.log.append((self.name, times))
        return taken

    def close(self):
        self.closed = True


class Lab:
    """A fake runtime: a MAdd takes a tenth of a nanosecond."""

    device = Device("lab", "lab-1", local=False)

    def __init__(self, slowdown=lambda _: 1.0, conditions=()):
        self.now_s, self.log, self.loaded = 0.0, [], []
        self._slowdown, self._conditions = slowdown, iter(conditions)

    def slowdown(self):
        return self._slowdown(self.now_s)

    def clock(self):
        return self.now_s

    def sleep(self, seconds):
        self.now_s += seconds

    def export(self, spec):
        return json.dumps(to_dict(spec)).encode()

    def load(self, model):
        if model == b"bad":
            raise MeasurementError("lab: no such thing")
        spec = from_dict(json.loads(model))
        name = "anchor" if spec == ANCHOR else spec.fingerprint
        self.loaded.append(Network(self, count(spec).madds / 1e7, name))
        return self.loaded[-1]

    def conditions(self):
        return next(self._conditions, Conditions())


def source(lab, **options):
    return Measured(lab, clock=lab.clock, sleep=lab.sleep, **options)


def test_the_contract():
    check_latency_source(source(Lab()), SMALL, LARGE)


def test_warm_up_is_by_time_and_blocks_are_short():
    lab = Lab()
    quick, slow = Network(lab, 1.0, "quick"), Network(lab, 50.0, "slow")
    timing = Timing(warmup_s=0.1, block_s=0.02, block_runs=3, min_blocks=8)
    fast, slow_blocks = interleave([quick, slow], timing, clock=lab.clock)
    assert {len(block) for block in fast} == {20}
    assert {len(block) for block in slow_blocks} == {3}
    assert len(fast) == len(slow_blocks) == 8  # no spread: stops as soon as it may
    assert np.allclose(fast, 1.0)
    warm_up = [times for name, times in lab.log if name == "quick"][:-8]
    assert 100 <= sum(warm_up) <= 230
    # In a block the first run, with cold caches, is left out.
    assert lab.log[-1][1] in (21, 4)


def test_blocks_are_interleaved_in_random_order():
    lab = Lab()
    networks = [Network(lab, 2.0, name) for name in "abc"]
    interleave(networks, Timing(), clock=lab.clock)
    turns = [name for name, _ in lab.log[-24:]]
    rounds = ["".join(turns[start : start + 3]) for start in range(0, 24, 3)]
    assert all(sorted(turn) == ["a", "b", "c"] for turn in rounds)
    assert len(set(rounds)) > 1


def test_stops_at_the_precision_or_the_time_limit():
    rng = np.random.default_rng(0)
    noisy = Lab(lambda _: rng.lognormal(0, 0.05))
    (blocks,) = interleave([Network(noisy, 2.0)], Timing(max_s=60.0), clock=noisy.clock)
    assert len(blocks) > 8
    wild = Lab(lambda _: rng.lognormal(0, 2))
    interleave([Network(wild, 10.0)], Timing(max_s=1.0), clock=wild.clock)
    assert wild.now_s < 10.0
    slow = Lab()
    (blocks,) = interleave([Network(slow, 2000.0)], Timing(max_s=1.0), clock=slow.clock)
    assert [len(block) for block in blocks] == [3] * 5  # fewer give no interval


def test_ratios_are_unbiased_on_a_device_that_slows_down():
    lab = Lab(lambda now: 1.0 + now / 4)
    large, small = source(lab).compare([LARGE, SMALL])
    truth = count(LARGE).madds / count(SMALL).madds
    assert large.over(small).value == pytest.approx(truth, rel=0.02)
    assert any("drifted" in problem for problem in large.latency.problems)


def test_a_disturbed_measurement_is_repeated():
    lab = Lab(lambda now: 3.0 if 0.4 < now < 1.0 else 1.0)
    reading = source(lab).latency(LARGE)
    assert reading.stable
    assert reading.median_ms == pytest.approx(count(LARGE).madds / 1e7)


def test_the_anchor_reveals_contention(tmp_path):
    record = AnchorRecord(tmp_path)
    quiet = source(Lab(), record=record).latency(LARGE)
    assert quiet.stable
    busy = source(Lab(lambda _: 1.4), record=record).latency(LARGE)
    assert not busy.stable
    assert busy.problems == ("something else used the device: the anchor took 1.40 times its best",)
    assert record.best_ms("lab-1") == pytest.approx(count(ANCHOR).madds / 1e7)


def test_a_similar_anchor_keeps_ratios_under_contention():
    class Crowded(Lab):
        """Contention slows small networks by 40% and large ones by 10%."""

        def load(self, model):
            network = super().load(model)
            network.ms *= 1.4 if network.ms < count(LARGE).madds / 1e7 / 2 else 1.1
            return network

    near = replace(LARGE, blocks=LARGE.blocks[:-1])
    calm_ms = source(Lab()).with_anchor(LARGE).latency(LARGE).anchor_ms
    reading = source(Crowded()).with_anchor(LARGE).latency(near)
    true_ms = count(near).madds / 1e7
    assert reading.scaled_to_anchor(calm_ms).median_ms == pytest.approx(true_ms)
    usual = source(Crowded()).latency(near)
    assert usual.scaled_to_anchor(count(ANCHOR).madds / 1e7).median_ms < 0.8 * true_ms


def test_each_anchor_has_its_own_record(tmp_path):
    record = AnchorRecord(tmp_path)
    usual = source(Lab(), record=record)
    usual.latency(LARGE)
    assert usual.with_anchor(LARGE).latency(LARGE).stable
    busy = source(Lab(lambda _: 1.4), record=record).with_anchor(LARGE).latency(LARGE)
    assert "the anchor took 1.40 times its best" in busy.problems[0]


def test_readings_are_scaled_to_one_anchor_latency():
    true_ms = count(LARGE).madds / 1e7
    anchor_ms = count(ANCHOR).madds / 1e7
    for pace in (1.0, 1.07, 1.3):
        reading = source(Lab(lambda _, pace=pace: pace)).latency(LARGE)
        assert reading.median_ms == pytest.approx(pace * true_ms)
        assert reading.anchor_ms == pytest.approx(pace * anchor_ms)
        again = reading.scaled_to_anchor(anchor_ms)
        assert again.median_ms == pytest.approx(true_ms)
        assert again.ci95_ms == pytest.approx((true_ms, true_ms))
        assert again.problems == reading.problems
    estimate = Latency.exactly(2.0, Device("table", "t"))
    assert estimate.scaled_to_anchor(1.0) == estimate


def test_paced_readings_are_those_of_the_quiet_device(tmp_path):
    record, near = AnchorRecord(tmp_path), replace(LARGE, blocks=LARGE.blocks[:-1])
    true_ms = count(near).madds / 1e7
    for pace in (1.0, 1.7, 2.4):
        lab = Lab(lambda _, pace=pace: pace)
        beside = source(lab, record=record).with_anchor(LARGE)
        reading = Paced(beside, folder=tmp_path / str(pace)).latency(near)
        assert reading.median_ms == pytest.approx(true_ms)
        assert reading.anchor_ms == pytest.approx(count(LARGE).madds / 1e7)
        assert reading.stable == (pace == 1.0)
    unrecorded = source(Lab(lambda _: 1.7)).with_anchor(LARGE)
    reading = Paced(unrecorded, folder=tmp_path / "unrecorded").latency(near)
    assert reading.median_ms == pytest.approx(1.7 * true_ms)


def test_paced_readings_of_another_day_are_those_of_this_ones_pace(tmp_path):
    """A cached reading of a slower machine keeps its ratio to the anchor, not its milliseconds."""
    record, near = AnchorRecord(tmp_path), replace(LARGE, blocks=LARGE.blocks[:-1])
    before = source(Lab(lambda _: 1.5), record=record).with_anchor(LARGE)
    slow = Paced(before, folder=tmp_path)
    true_ms = count(near).madds / 1e7
    assert slow.latency(near).median_ms == pytest.approx(1.5 * true_ms)
    faster = source(Lab(lambda _: 1.0), record=record).with_anchor(LARGE)
    small = replace(LARGE, blocks=LARGE.blocks[:-2])
    today = Paced(faster, folder=tmp_path)
    assert today.latency(small).median_ms == pytest.approx(count(small).madds / 1e7)
    assert today.holds(near)
    assert today.latency(near).median_ms == pytest.approx(true_ms)
    # A run keeps the pace that it began with.
    assert slow.latency(small).median_ms == pytest.approx(1.5 * count(small).madds / 1e7)
    kept = Paced(faster, anchor_ms=2.0 * count(LARGE).madds / 1e7, folder=tmp_path)
    assert kept.latency(near).median_ms == pytest.approx(2.0 * true_ms)


def test_uncached_readings_have_the_same_pace_and_are_new_ones(tmp_path):
    near = replace(LARGE, blocks=LARGE.blocks[:-1])
    lab = Lab(lambda _: 1.5)
    paced = Paced(
        source(lab).with_anchor(LARGE), anchor_ms=count(LARGE).madds / 1e7, folder=tmp_path
    )
    true_ms = count(near).madds / 1e7
    asked = []
    monkeyed = paced.source.latency
    paced.source.latency = lambda spec: asked.append(spec) or monkeyed(spec)
    assert [paced.latency(near).median_ms for _ in range(2)] == pytest.approx([true_ms] * 2)
    cached = len(asked)
    assert [paced.uncached.latency(near).median_ms for _ in range(2)] == pytest.approx(
        [true_ms] * 2
    )
    assert len(asked) == cached + 2


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"median_ms": null}', '{"median_ms": "x"}'])
def test_a_damaged_record_is_replaced(tmp_path, damage):
    record = AnchorRecord(tmp_path)
    (tmp_path / "lab-1.json").write_text(damage)
    assert record.best_ms("lab-1") is None
    assert record.update("lab-1", 2.0) == 2.0
    assert record.update("lab-1", 3.0) == 2.0
    assert record.best_ms("lab-1") == 2.0


@pytest.mark.parametrize(
    ("before", "after", "problem"),
    [
        (Conditions(40.0), Conditions(46.0), "warmed up from 40 to 46 degrees"),
        (Conditions(None, 2000.0), Conditions(None, 1500.0), "clocked down from 2000 to 1500 MHz"),
        (Conditions(), Conditions(throttled=True), "the device throttles itself"),
    ],
)
def test_device_conditions_are_problems(before, after, problem):
    lab = Lab(conditions=[before, after] * 2)
    assert source(lab).latency(LARGE).problems == (problem,)


def test_raw_times_are_logged(tmp_path):
    reading = source(Lab(), on_reading=RawTimes(tmp_path)).latency(LARGE)
    (line,) = (tmp_path / "lab-1.jsonl").read_text().splitlines()
    entry = json.loads(line)
    assert entry["latency"] == json.loads(json.dumps(reading.to_dict()))
    assert sum(map(len, entry["blocks_ms"])) == reading.samples
    assert len(entry["anchor_ms"]) == len(entry["blocks_ms"])


def test_networks_are_closed_when_the_next_is_rejected():
    lab = Lab()
    with pytest.raises(MeasurementError, match="no such thing"):
        source(lab).measure([lab.export(LARGE), b"bad"])
    anchor, first = lab.loaded
    assert first.closed
    assert not anchor.closed  # kept for the next measurement


def hold(held, release):
    with exclusive_use(Lab.device):
        held.set()
        release.wait(30)


def test_two_processes_wait_for_each_other(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    context = multiprocessing.get_context("fork")
    held, release = context.Event(), context.Event()
    other = context.Process(target=hold, args=(held, release))
    other.start()
    assert held.wait(30)
    with (
        pytest.raises(MeasurementError, match="another process has been measuring on lab"),
        exclusive_use(Lab.device, wait_s=0.1),
    ):
        pass
    release.set()
    other.join(30)
    with exclusive_use(Lab.device, wait_s=10):
        pass


def lock_as(user, ended):
    os.setuid(user)
    with exclusive_use(Lab.device, wait_s=0.1):
        ended.set()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act for other users")
def test_users_share_a_lock(monkeypatch):
    with tempfile.TemporaryDirectory() as folder:  # pytest's are closed to other users
        Path(folder).chmod(0o1777)
        monkeypatch.setattr("tempfile.tempdir", folder)
        context = multiprocessing.get_context("fork")
        for user in (1234, 1235):
            ended = context.Event()
            process = context.Process(target=lock_as, args=(user, ended))
            process.start()
            process.join(30)
            assert ended.is_set()
        with exclusive_use(Lab.device, wait_s=0.1):
            pass


def test_a_lock_that_cannot_be_opened(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "mobile-nas-measuring-lab-1.lock").mkdir()
    problem = (
        r"mobile-nas-measuring-lab-1\.lock: Is a directory: measuring locks this file: make it wr"
    )
    with pytest.raises(DeviceLostError, match=problem), exclusive_use(Lab.device):
        pass
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "absent"))
    with (
        pytest.raises(DeviceLostError, match="No such file or directory"),
        exclusive_use(Lab.device),
    ):
        pass


def test_a_file_system_without_locks(tmp_path, monkeypatch):
    def refused(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("fcntl.flock", refused)
    with pytest.raises(DeviceLostError, match="No locks available"), exclusive_use(Lab.device):
        pass


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="the system has no affinities")
def test_pinned():
    before = os.sched_getaffinity(0)
    with pinned() as core:
        assert os.sched_getaffinity(0) == {core}
    assert os.sched_getaffinity(0) == before


def clocks(root, name, khz):
    """Write a file of each core's `cpufreq`."""
    for core, value in khz.items():
        folder = root / f"devices/system/cpu/cpu{core}/cpufreq"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"{value}\n")


@pytest.mark.parametrize(
    ("khz", "fastest"),
    [
        ({0: 5_000_000, 1: 5_200_000, 2: 5_200_000, 3: 3_800_000}, 2),  # a hybrid PC
        ({0: 1_800_000, 1: 1_800_000, 2: 2_400_000, 3: 2_400_000}, 3),  # a board
        ({0: 2_000_000}, 0),
        ({}, 3),
    ],
)
def test_the_fastest_core_measures(tmp_path, monkeypatch, khz, fastest):
    clocks(tmp_path, "cpuinfo_max_freq", khz)
    clocks(tmp_path, "scaling_cur_freq", {core: 1_000_000 + core * 1000 for core in range(4)})
    assert fastest_core({0, 1, 2, 3}, root=tmp_path) == fastest
    chosen = []
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3}, raising=False)
    monkeypatch.setattr(os, "sched_setaffinity", lambda _, to: chosen.append(to), raising=False)
    with pinned(root=tmp_path) as core:
        assert core == fastest
    assert chosen == [{fastest}, {0, 1, 2, 3}]
    assert linux_conditions(root=tmp_path).frequency_mhz == 1000.0 + fastest


def test_one_thread_is_timed_by_cpu_time():
    clock = run_clock(threads=1)
    begin = clock()
    time.sleep(0.05)
    assert clock() - begin < 0.04  # it had no core meanwhile
    begin = run_clock(threads=2)()
    time.sleep(0.05)
    assert run_clock(threads=2)() - begin >= 0.04


def test_runs_of_zero_time_are_repeated():
    readings, runs = iter([0.0, 1.0, 1.0, 1.0, 1.0, 3.0]), []
    assert time_runs(lambda: runs.append(1), 2, lambda: next(readings)) == [1000.0, 2000.0]
    assert len(runs) == 3
    with pytest.raises(MeasurementError, match="clock stood still"):
        time_runs(lambda: None, 3, lambda: 7.0)


def test_conditions_are_read_from_the_system(tmp_path, monkeypatch):
    for number, temperature in enumerate((41000, 55500)):
        zone = tmp_path / f"class/thermal/thermal_zone{number}"
        zone.mkdir(parents=True)
        (zone / "temp").write_text(f"{temperature}\n")
    (tmp_path / "class/thermal/thermal_zone9").mkdir()
    (tmp_path / "class/thermal/thermal_zone9/temp").write_text("broken")
    clocks(tmp_path, "scaling_cur_freq", {3: 1_800_000})
    assert linux_conditions(3, root=tmp_path) == Conditions(55.5, 1800.0)
    assert linux_conditions(0, root=tmp_path / "absent") == Conditions()
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 3}, raising=False)
    assert linux_conditions(root=tmp_path).frequency_mhz == 1800.0  # of the core that measures
