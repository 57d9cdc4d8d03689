"""A machine whose other programs slow some networks more than others."""

import json
from dataclasses import replace

import pytest

from latency import Device
from latency.measuring.anchor import AnchorRecord
from latency.measuring.probes import COMPUTING, PROBES, READING, Slowdown
from search_spaces import REFERENCES, count
from search_spaces.spec import from_dict
from tests.latency.test_measured import Lab, Network, source

SMALL = REFERENCES["mobilenet_v3_small"](resolution=64)
LARGE = REFERENCES["mobilenet_v3_large"]()


class Machine(Lab):
    """A network takes a nanosecond for ten MAdds and one for each weight; others slow both apart."""

    device = Device("machine", "machine-1", local=True)

    def __init__(self, computing=1.0, reading=1.0):
        super().__init__()
        self.computing, self.reading = computing, reading

    def load(self, model):
        cost = count(from_dict(json.loads(model)))
        machine = self

        class Slowed(Network):
            def run(self, times):
                self.ms = cost.madds / 1e7 * machine.computing + cost.params / 1e6 * machine.reading
                return super().run(times)

        self.loaded.append(Slowed(self, 0.0))
        return self.loaded[-1]


def test_the_probes_are_of_unlike_kinds():
    work = [count(probe).madds / count(probe).params for probe in PROBES]
    assert work[0] > 200
    assert work[1] < 1.1
    assert count(COMPUTING).params * 4 < 2**18  # fits into a core's own cache
    assert count(READING).params * 4 > 2**24


@pytest.mark.parametrize(("computing", "reading"), [(1.05, 1.25), (1.3, 1.0), (1.5, 1.2)])
def test_an_interval_from_a_busy_machine_holds_the_ratio_of_a_quiet_one(
    tmp_path, computing, reading
):
    machine = Machine()
    measuring = source(machine, record=AnchorRecord(tmp_path))
    models = [machine.export(spec) for spec in (LARGE, SMALL)]
    large, small = measuring.measure(models)
    quiet = large.over(small)
    assert quiet.ci95 == pytest.approx((quiet.value, quiet.value))
    assert large.latency.stable

    machine.computing, machine.reading = computing, reading
    large, small = measuring.measure(models)
    busy = large.over(small)
    assert busy.value != pytest.approx(quiet.value, rel=0.02)
    assert busy.ci95[0] <= quiet.value <= busy.ci95[1]
    assert any("unevenly" in problem for problem in large.latency.problems)
    assert large.over(large).ci95 == (1.0, 1.0)


def test_a_machine_that_is_slowed_evenly_keeps_its_intervals(tmp_path):
    machine = Machine()
    measuring = source(machine, record=AnchorRecord(tmp_path))
    models = [machine.export(spec) for spec in (LARGE, SMALL)]
    measuring.measure(models)
    machine.computing = machine.reading = 1.4
    large, small = measuring.measure(models)
    assert large.over(small).ci95[1] == pytest.approx(large.over(small).ci95[0])
    assert large.slowdown.unevenness == 1.0
    assert [problem for problem in large.latency.problems if "1.40 times its best" in problem]


def test_another_device_has_no_probes(tmp_path):
    lab = Lab()
    measuring = source(lab, record=AnchorRecord(tmp_path))
    (reading,) = measuring.measure([lab.export(SMALL)])
    assert reading.slowdown.factors == (1.0,)
    assert len(lab.loaded) == 2  # the network and the anchor


def test_probes_are_loaded_once_and_closed_with_the_anchor(tmp_path):
    machine = Machine()
    measuring = source(machine, record=AnchorRecord(tmp_path))
    measuring.latency(SMALL)
    measuring.with_timing(replace(measuring.timing, max_s=0.5)).latency(LARGE)
    assert len(machine.loaded) == 3 + 2
    measuring.close()
    assert all(network.closed for network in machine.loaded)
    measuring.latency(SMALL)
    assert len(machine.loaded) == 5 + 4


def test_a_record_of_an_earlier_version_gets_probes(tmp_path):
    record = AnchorRecord(tmp_path)
    (tmp_path / "f.json").write_text(json.dumps({"median_ms": 1.0}))
    assert record.probes_ms("f") == ()
    assert record.update("f", 2.0, (4.0, 6.0)) == 1.0
    assert record.probes_ms("f") == ()  # the device is not as quiet as it was
    assert record.update("f", 1.02, (2.0, 3.0)) == 1.0
    assert record.update("f", 1.01, (1.9, 9.0)) == 1.0
    assert record.probes_ms("f") == (1.9, 3.0)


def test_a_new_best_of_the_anchor_keeps_the_best_of_the_probes(tmp_path):
    record = AnchorRecord(tmp_path)
    record.update("f", 1.0, (2.0, 3.0))
    record.update("f", 0.99, (2.6, 2.9))  # a probe was disturbed
    assert record.probes_ms("f") == (2.0, 2.9)
    record.update("f", 0.5, (1.5, 2.5))  # another pace altogether
    assert record.probes_ms("f") == (1.5, 2.5)


def test_without_a_known_state_nothing_is_uneven():
    assert Slowdown().unevenness == 1.0
    assert Slowdown().widened((1.0, 2.0)) == (1.0, 2.0)
