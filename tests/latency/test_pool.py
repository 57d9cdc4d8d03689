"""Pools of identical devices."""

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from latency import (
    Cached,
    Device,
    DeviceLostError,
    Latency,
    MeasurementError,
    Pool,
    check_latency_source,
    devices_of,
)
from latency.pool import open_pool
from search_spaces import REFERENCES, InputError, count

SMALL = REFERENCES["mobilenet_v3_small"](resolution=64)
LARGE = REFERENCES["mobilenet_v3_large"]()
NETWORKS = [REFERENCES["mobilenet_v3_small"](resolution=32 * (1 + n)) for n in range(12)]


class Phone:
    """Answers immediately, `lives` times; then it is lost."""

    def __init__(self, serial, *, make="model-1", lives=None, name="Pixel 4, benchmark_model"):
        self.device = Device(name, serial, make=make)
        self.lives, self.answered = lives, []

    def latency(self, spec):
        if self.lives is not None and len(self.answered) >= self.lives:
            raise DeviceLostError(f"{self.device.fingerprint}: the cable")
        self.answered.append(spec)
        return replace(Latency.exactly(count(spec).madds / 1e6, self.device), samples=9)


def ask(pool, networks=NETWORKS, *, threads=3):
    with ThreadPoolExecutor(threads) as crew:
        return [reading.median_ms for reading in crew.map(pool.latency, networks)]


def expected(networks=NETWORKS):
    return [count(spec).madds / 1e6 for spec in networks]


def test_the_contract(tmp_path):
    pool = Pool([Phone("a"), Phone("b")])
    check_latency_source(pool, SMALL, LARGE)
    check_latency_source(Cached(pool, tmp_path), SMALL, LARGE)
    assert pool.device == Device("Pixel 4, benchmark_model", "model-1")


def test_all_members_share_a_fingerprint(tmp_path):
    first, second = Phone("a"), Phone("b")
    Cached(Pool([first]), tmp_path).latency(SMALL)
    Cached(Pool([second]), tmp_path).latency(SMALL)
    assert second.answered == []


def test_all_members_work_at_the_same_time():
    together = threading.Barrier(3)

    class Meeting(Phone):
        def latency(self, spec):
            together.wait(timeout=30)
            return super().latency(spec)

    members = [Meeting(serial) for serial in "abc"]
    pool = Pool(members)
    assert [unit.fingerprint for unit in devices_of(pool)] == ["a", "b", "c"]
    assert ask(pool) == expected()
    assert [len(member.answered) for member in members] == [4, 4, 4]


def test_more_threads_than_members_wait():
    assert ask(Pool([Phone("a"), Phone("b")]), threads=8) == expected()


@pytest.mark.parametrize("lives", [0, 1, 3])
def test_a_lost_member_is_dropped_with_a_warning(caplog, lives):
    dying, well = Phone("dying", lives=lives), Phone("well")
    pool = Pool([dying, well])
    while len(devices_of(pool)) == 2:  # however few of the networks it is handed
        assert ask(pool) == expected()
    (warning,) = caplog.records
    assert warning.levelno == logging.WARNING
    assert "(1 left): dying: the cable" in warning.getMessage()
    assert len(dying.answered) == lives
    assert [unit.fingerprint for unit in devices_of(pool)] == ["well"]


def test_losing_the_last_member_is_an_error():
    pool = Pool([Phone("a", lives=2), Phone("b", lives=1)])
    with pytest.raises(DeviceLostError, match=r"no device of the pool is left; the last: .: the"):
        ask(pool, threads=4)
    with pytest.raises(DeviceLostError):
        pool.latency(SMALL)


def test_a_rejected_network_is_not_retried(caplog):
    class Old(Phone):
        def latency(self, spec):
            self.answered.append(spec)
            raise MeasurementError("unknown operator")

    members = [Old("a"), Old("b")]
    pool = Pool(members)
    with pytest.raises(MeasurementError, match="unknown operator"):
        pool.latency(SMALL)
    assert sum(len(member.answered) for member in members) == 1
    assert len(devices_of(pool)) == 2
    assert not caplog.records


@pytest.mark.parametrize(
    ("members", "problem"),
    [
        ([], "a pool needs at least one device"),
        ([Phone("a"), Phone("a")], "Pixel 4, benchmark_model is in the pool twice"),
        (
            [Phone("a"), Phone("b", make="other", name="Pixel 5")],
            "of one make, got Pixel 4, benchmark_model and Pixel 5: give each make",
        ),
        (
            [Phone("a"), Phone("b", make="model-1b")],
            "differ in Android's build or in benchmark_model",
        ),
        ([Phone("a", make="")], "cannot be in a pool"),
    ],
)
def test_invalid_pools(members, problem):
    with pytest.raises(InputError, match=problem) as caught:
        Pool(members)
    assert "\n" not in str(caught.value)


def absent():
    raise InputError("adb sees no phone 'x'")


def test_members_that_cannot_be_opened_are_left_out_with_a_warning(caplog):
    pool = open_pool([absent, lambda: Phone("a")])
    assert len(devices_of(pool)) == 1
    assert "left out of the pool: adb sees no phone 'x'" in caplog.text
    caplog.clear()
    with pytest.raises(InputError, match="no phone 'x'"):
        open_pool([absent, absent])
    assert not caplog.records


def test_a_phone_that_is_attached_twice_is_used_once(caplog):
    pool = open_pool([lambda: Phone("a"), lambda: Phone("b"), lambda: Phone("a")], once=True)
    assert [device.fingerprint for device in devices_of(pool)] == ["a", "b"]
    assert "is attached twice: its first connection is used" in caplog.text
    with pytest.raises(InputError, match="in the pool twice"):
        open_pool([lambda: Phone("a"), lambda: Phone("a")])
