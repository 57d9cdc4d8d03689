"""A batch's latencies on every device: which at the same time, and what ends it."""

import threading
from contextlib import contextmanager

import pytest

from latency import Device, DeviceLostError, Latency, MeasurementError, Pool, open_device
from nas.engine.measuring import measure, require_distinct
from search_spaces import REFERENCES, InputError

SPECS = [REFERENCES["mobilenet_v3_small"](resolution=32 * (1 + n)) for n in range(4)]


class Phone:
    """A remote device; `meets` is a barrier at which others must be measuring too."""

    def __init__(self, name="phone", *, make="", meets=None, fails=None):
        self.device = Device(name, name, make=make)
        self.meets, self.fails, self.asked = meets, fails, []

    def latency(self, spec):
        self.asked.append(spec)
        if self.meets is not None:
            self.meets.wait(timeout=30)
        if self.fails is not None:
            raise self.fails
        return Latency.exactly(float(spec.resolution), self.device)


def medians(told):
    return [[latency.median_ms for latency in each] for each in told]


def test_every_device_is_asked_and_answers_in_its_order():
    madds, phone, heard = open_device("madds:1"), Phone(), []
    told = measure([phone, madds], SPECS, lambda done, total: heard.append((done, total)))
    assert medians(told) == [[s.resolution, madds.latency(s).median_ms] for s in SPECS]
    assert heard == [(done, 8) for done in range(9)]


def test_equal_networks_are_measured_once():
    phone = Phone()
    assert medians(measure([phone], [SPECS[0], SPECS[1], SPECS[0]])) == [[32.0], [64.0], [32.0]]
    assert phone.asked == SPECS[:2]


def test_remote_devices_are_measured_at_the_same_time():
    together = threading.Barrier(2)
    told = measure([Phone("a", meets=together), Phone("b", meets=together)], SPECS)
    assert medians(told) == [[s.resolution] * 2 for s in SPECS]


def test_a_pools_devices_are_measured_at_the_same_time():
    together = threading.Barrier(2)
    pool = Pool([Phone("a", make="p", meets=together), Phone("b", make="p", meets=together)])
    assert medians(measure([pool], SPECS)) == [[s.resolution] for s in SPECS]


def test_this_machine_is_measured_with_nothing_beside():
    busy = []

    class Here(Phone):
        def __init__(self):
            super().__init__()
            self.device = Device("here", "here", local=True)

        def latency(self, spec):
            assert not busy
            return super().latency(spec)

    class There(Phone):
        def latency(self, spec):
            busy.append(spec)
            reading = super().latency(spec)
            busy.remove(spec)
            return reading

    told = measure([There("a"), Here(), There("b")], SPECS)
    assert medians(told) == [[s.resolution] * 3 for s in SPECS]


def test_a_refused_network_names_its_device_where_there_are_several():
    no = Phone("b", fails=MeasurementError("unknown operator"))
    (told,) = measure([Phone("a"), no], SPECS[:1])
    assert isinstance(told, MeasurementError)
    assert str(told) == "on b: unknown operator"
    (told,) = measure([no], SPECS[:1])
    assert str(told) == "unknown operator"


@pytest.mark.parametrize("others", [[], [Phone("other")]])
def test_a_lost_device_ends_it(others):
    lost = Phone("lost", fails=DeviceLostError("the cable"))
    with pytest.raises(DeviceLostError, match="the cable"):
        measure([*others, lost], SPECS)
    assert lost.asked == SPECS[: len(lost.asked)]


def test_devices_are_held_while_they_are_measured():
    held = []

    @contextmanager
    def hold():
        held.append(True)
        yield
        held.pop()

    class Held(Phone):
        def latency(self, spec):
            assert held
            return super().latency(spec)

    measure([Held()], SPECS, hold=hold)
    assert not held


def test_one_device_is_not_two():
    pool = Pool([Phone("a", make="p"), Phone("b", make="p")])
    require_distinct([pool, Phone("c")])
    with pytest.raises(InputError, match="device b is given twice"):
        require_distinct([pool, Phone("b", make="p")])
