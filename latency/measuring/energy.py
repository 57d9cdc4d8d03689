"""Energy of an inference on this machine, where the system counts it: Linux's powercap (Intel and AMD)."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from latency.measuring.cpu import SYSFS, pinned
from latency.measuring.device_lock import exclusive_use
from latency.measuring.runtime import Loaded, Runtime

ROUNDS = 8
BLOCK_S = 0.25
"""Counters are updated each millisecond, so a block is exact to half a percent."""

WARM_RUNS = 3


class EnergyCounter:
    """The energy that the processor's packages have used.

    Args:
        zones: Folders of the packages' counters.
    """

    def __init__(self, zones: Sequence[Path]) -> None:
        self._zones = {zone: float((zone / "max_energy_range_uj").read_text()) for zone in zones}
        self._last = {zone: _microjoules(zone) for zone in zones}
        self._joules = 0.0

    @classmethod
    def find(cls, root: Path = SYSFS) -> Self | None:
        """Return the counter of this machine; None if it has none, or only root may read it.

        Args:
            root: Root of sysfs.
        """
        # intel-rapl:0 is a package, also on AMD; its parts, and the whole platform, would count it again.
        zones = [
            zone for zone in root.glob("class/powercap/intel-rapl:*") if zone.name.count(":") == 1
        ]
        try:
            packages = [zone for zone in sorted(zones) if _name(zone).startswith("package")]
            return cls(packages) if packages else None
        except (OSError, ValueError):
            return None

    def joules(self) -> float:
        """Return the energy since the counter was made; asked before the hardware's wraps twice."""
        for zone, most in self._zones.items():
            now = _microjoules(zone)
            self._joules += (now - self._last[zone]) % most / 1e6
            self._last[zone] = now
        return self._joules


def _name(zone: Path) -> str:
    return (zone / "name").read_text().strip()


def _microjoules(zone: Path) -> float:
    return float((zone / "energy_uj").read_text())


def energies_of(
    runtime: Runtime, models: Sequence[bytes], counter: EnergyCounter | None = None
) -> list[list[float]] | None:
    """Return the energy of an inference of each network in millijoules, by round; see `energies_mj`.

    None if the device is not this machine, or the system does not count energy for this user.

    Args:
        runtime: Runs networks on the device.
        models: Files in its format.
        counter: This machine's counter; found by default.

    Raises:
        MeasurementError: The device rejects a network, or is lost.
    """
    counter = counter or EnergyCounter.find()
    if counter is None or not runtime.device.local:
        return None
    with exclusive_use(runtime.device), ExitStack() as held:
        networks = [runtime.load(model) for model in models]
        for network in networks:
            held.callback(network.close)
            network.run(WARM_RUNS)
        try:
            with pinned():
                return energies_mj(networks, counter)
        except (OSError, ValueError):
            return None  # the counter may no longer be read


def energies_mj(
    networks: Sequence[Loaded],
    counter: EnergyCounter,
    *,
    rounds: int = ROUNDS,
    block_s: float = BLOCK_S,
    clock: Callable[[], float] = time.perf_counter,
    sleep: Callable[[float], None] = time.sleep,
) -> list[list[float]]:
    """Return the energy of an inference in millijoules above that of the idle machine, by round.

    Blocks of all networks and of idling are interleaved in random order. The whole package is counted, so
    nothing else may run.

    Args:
        networks: The networks, warm.
        counter: The machine's energy.
        rounds: Number of rounds.
        block_s: Least duration of a block in seconds.
        clock: Returns seconds.
        sleep: Waits for a number of seconds.
    """
    shuffled = random.Random(0)
    found: list[list[float]] = [[] for _ in networks]
    for _ in range(rounds):
        blocks: dict[int, tuple[float, float, int]] = {}
        for index in shuffled.sample(range(-1, len(networks)), len(networks) + 1):
            began_s, began_j, runs = clock(), counter.joules(), 0
            if index < 0:
                sleep(block_s)
            while index >= 0 and clock() < began_s + block_s:
                runs += len(networks[index].run(1))
            blocks[index] = counter.joules() - began_j, clock() - began_s, runs
        idle_j, idle_s, _ = blocks.pop(-1)
        for index, (joules, seconds, runs) in blocks.items():
            found[index].append(1e3 * (joules - seconds * idle_j / idle_s) / runs)
    return found
