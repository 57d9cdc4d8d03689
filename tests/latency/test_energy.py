"""Energy from made-up counters."""

from dataclasses import replace

import pytest

from latency import Device
from latency.measuring.energy import EnergyCounter, energies_mj, energies_of


class Machine:
    """A clock and counters: each package takes 10 W when idle."""

    def __init__(self, root, *, packages=1, most=1e9, start=0.0):
        self.now, self.most = 0.0, most
        self.zones = [root / f"class/powercap/intel-rapl:{number}" for number in range(packages)]
        self.used = [start] * packages
        for zone in self.zones:
            zone.mkdir(parents=True)
            (zone / "max_energy_range_uj").write_text(f"{most:.0f}\n")
            (zone / "name").write_text(f"package-{zone.name[-1]}\n")
        (root / "class/powercap/intel-rapl:9").mkdir()  # the whole platform
        (root / "class/powercap/intel-rapl:9/name").write_text("psys\n")
        (root / "class/powercap/intel-rapl:0:0").mkdir()  # a part of the first package
        self.write()

    def write(self):
        for zone, used in zip(self.zones, self.used, strict=True):
            (zone / "energy_uj").write_text(f"{used % self.most:.0f}\n")

    def passes(self, seconds, watts=10.0):
        """Let time pass while the first package takes some power."""
        self.now += seconds
        first, *others = self.used
        self.used = [first + watts * seconds * 1e6, *(one + 1e7 * seconds for one in others)]
        self.write()

    def clock(self):
        return self.now


class Network:
    def __init__(self, machine, *, ms, watts):
        self.machine, self.ms, self.watts = machine, ms, watts

    def run(self, times):
        for _ in range(times):
            self.machine.passes(self.ms / 1e3, self.watts)
        return [self.ms] * times

    def close(self):
        pass


@pytest.mark.parametrize("packages", [1, 2])
def test_energy_of_a_run_is_that_above_idling(tmp_path, packages):
    machine = Machine(tmp_path, packages=packages)
    networks = [Network(machine, ms=5, watts=40.0), Network(machine, ms=20, watts=25.0)]
    counter = EnergyCounter.find(tmp_path)
    found = energies_mj(networks, counter, rounds=3, clock=machine.clock, sleep=machine.passes)
    assert [len(one) for one in found] == [3, 3]
    assert found[0] == pytest.approx([5 * 30.0] * 3, rel=1e-3)  # ms times watts
    assert found[1] == pytest.approx([20 * 15.0] * 3, rel=1e-3)


def test_a_counter_that_wraps_goes_on(tmp_path):
    machine = Machine(tmp_path, most=1e6, start=0.9e6)
    counter = EnergyCounter.find(tmp_path)
    machine.passes(0.02)
    assert counter.joules() == pytest.approx(0.2)
    machine.passes(0.03)
    assert counter.joules() == pytest.approx(0.5)


def test_a_system_that_does_not_tell_has_no_counter(tmp_path):
    assert EnergyCounter.find(tmp_path) is None
    zone = tmp_path / "class/powercap/intel-rapl:0"
    zone.mkdir(parents=True)
    assert EnergyCounter.find(tmp_path) is None
    (zone / "name").write_text("package-0")
    (zone / "max_energy_range_uj").write_text("1000")
    (zone / "energy_uj").write_text("no number")
    assert EnergyCounter.find(tmp_path) is None


class Runtime:
    device = Device("lab", "f0", local=True)

    def __init__(self, machine):
        self.machine = machine

    def load(self, _model):
        return Network(self.machine, ms=50, watts=30.0)


def test_only_this_machines_energy_is_counted(tmp_path):
    runtime = Runtime(machine := Machine(tmp_path))
    counter = EnergyCounter.find(tmp_path)
    runtime.device = replace(runtime.device, local=False)
    assert energies_of(runtime, [b""], counter) is None
    assert machine.now == 0
