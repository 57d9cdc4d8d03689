"""Measured latency on any runtime: repeated if disturbed, and flagged if it stays unstable."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

import numpy as np

from latency.measuring.anchor import ANCHOR, AnchorRecord
from latency.measuring.cpu import pinned
from latency.measuring.device_lock import exclusive_use
from latency.measuring.interleave import interleave
from latency.measuring.probes import PROBES, UNKNOWN, Slowdown
from latency.measuring.runtime import Conditions, Loaded, Runtime
from latency.measuring.source import Device, DeviceLostError, Latency, MeasurementError
from latency.measuring.statistics import Blocks, Ratio, Timing, block_medians, ratio, summarize
from search_spaces.spec import ArchSpec

HOTTER = 5.0
"""Degrees Celsius by which a device may warm up during a measurement."""


@dataclass(frozen=True)
class Reading:
    """A network's latency with its raw run times.

    Attributes:
        latency: Their summary.
        blocks: Run times in milliseconds.
        anchor: Run times of the anchor in the same rounds.
        slowdown: That of anchors of different kinds meanwhile.
    """

    latency: Latency
    blocks: Blocks
    anchor: Blocks
    slowdown: Slowdown = UNKNOWN

    def over(self, base: Reading) -> Ratio:
        """Return the ratio of this network's latency to another's from the same measurement.

        Its interval is wider if the device was slowed unevenly; see `latency.measuring.probes`.
        """
        measured = ratio(self.blocks, base.blocks)
        if base is self:
            return measured
        return replace(measured, ci95=self.slowdown.widened(measured.ci95))


class Measured:
    """A latency source that measures on a runtime.

    Networks are run in short blocks, interleaved with blocks of the anchor and, on this machine, of the
    probes. A disturbed measurement is repeated; if all are disturbed, the least disturbed is returned with
    its problems.

    Args:
        runtime: Runs networks on the device.
        timing: How long to measure, and what counts as disturbed.
        record: The anchor's best times; without it contention shows only in the times themselves.
        on_reading: Called with every reading.
        clock: Returns seconds.
        sleep: Waits for a number of seconds.
        anchor: Network measured next to every other; see `with_anchor`.
    """

    def __init__(
        self,
        runtime: Runtime,
        *,
        timing: Timing | None = None,
        record: AnchorRecord | None = None,
        on_reading: Callable[[Reading], None] | None = None,
        clock: Callable[[], float] = time.perf_counter,
        sleep: Callable[[float], None] = time.sleep,
        anchor: ArchSpec = ANCHOR,
    ) -> None:
        self.runtime, self.timing = runtime, timing or Timing()
        self.record, self.on_reading, self.clock, self.sleep = record, on_reading, clock, sleep
        self.anchor = anchor
        self._anchors: list[Loaded] = []

    @property
    def device(self) -> Device:
        """The device."""
        return self.runtime.device

    def with_timing(self, timing: Timing) -> Measured:
        """Return a source on the same device with other settings; its readings are not recorded."""
        other = self._like(timing=timing, anchor=self.anchor)
        other._anchors = self._anchors
        return other

    def with_anchor(self, reference: ArchSpec) -> Measured:
        """Return a source on the same device with another anchor; its readings are not recorded.

        Contention slows a small network more than a large one, but similar networks alike. A pruned network
        is therefore best measured next to its parent.
        """
        return self._like(timing=self.timing, anchor=reference)

    def _like(self, *, timing: Timing, anchor: ArchSpec) -> Measured:
        return Measured(
            self.runtime,
            timing=timing,
            record=self.record,
            clock=self.clock,
            sleep=self.sleep,
            anchor=anchor,
        )

    def latency(self, spec: ArchSpec) -> Latency:
        """Measure one network.

        Raises:
            MeasurementError: The device rejects it, or is lost.
        """
        return self.latency_of_model(self.runtime.export(spec))

    def latency_of_model(self, model: bytes) -> Latency:
        """Measure a network given as a file in the runtime's format."""
        (reading,) = self.measure([model])
        return reading.latency

    def compare(self, specs: Sequence[ArchSpec]) -> list[Reading]:
        """Measure several networks in the same rounds, so that their ratios are unbiased."""
        return self.measure([self.runtime.export(spec) for spec in specs])

    def measure(self, models: Sequence[bytes], *, names: Sequence[str] = ()) -> list[Reading]:
        """Measure networks given as files, interleaved.

        Args:
            models: Files in the runtime's format.
            names: Their names in error messages.

        Raises:
            MeasurementError: The device rejects one, or is lost.
        """
        with exclusive_use(self.device), self._loaded(models, names) as networks:
            best = self._measure_once(networks)
            for attempt in range(self.timing.retries):
                if all(reading.latency.stable for reading in best):
                    break
                self.sleep(self.timing.pause_s * 2**attempt)
                best = min(best, self._measure_once(networks), key=_disturbance)
        if self.on_reading is not None:
            for reading in best:
                self.on_reading(reading)
        return best

    def close(self) -> None:
        """Remove the anchor from the device; the next measurement loads it again."""
        while self._anchors:
            self._anchors.pop().close()

    @contextmanager
    def _loaded(self, models: Sequence[bytes], names: Sequence[str]) -> Iterator[list[Loaded]]:
        if not self._anchors:  # the same list as that of `with_timing`
            # What else runs here slows networks unevenly; on other devices nothing of ours runs.
            specs = (self.anchor, *PROBES) if self.device.local else (self.anchor,)
            self._anchors += [self.runtime.load(self.runtime.export(spec)) for spec in specs]
        with ExitStack() as held:
            networks: list[Loaded] = []
            for index, model in enumerate(models):
                name = names[index] if names else ""
                with _prefixed_errors(name):
                    network = self.runtime.load(model)
                held.callback(network.close)
                networks.append(_Named(network, name) if name else network)
            yield networks

    def _measure_once(self, networks: Sequence[Loaded]) -> list[Reading]:
        with pinned() if self.device.local else ExitStack():
            before = self.runtime.conditions()
            blocks = interleave(
                [*networks, *self._anchors], self.timing, watched=len(networks), clock=self.clock
            )
            after = self.runtime.conditions()  # at once: an idle core clocks down
        own, (anchor, *probes) = blocks[: len(networks)], blocks[len(networks) :]
        slowdown, found = self._slowdown(anchor, probes)
        problems = (*found, *throttling(before, after))
        return [self._reading(one, anchor, slowdown, problems) for one in own]

    def _reading(
        self, own: Blocks, anchor: Blocks, slowdown: Slowdown, problems: Sequence[str]
    ) -> Reading:
        latency = summarize(own, self.device, self.timing, problems=problems)
        pace_ms = latency.median_ms / ratio(own, anchor).value
        return Reading(replace(latency, anchor_ms=pace_ms), own, anchor, slowdown)

    @property
    def best_anchor_ms(self) -> float | None:
        """The anchor's record on this device, in milliseconds; None without one."""
        return None if self.record is None else self.record.best_ms(self._anchor_key)

    @property
    def _anchor_key(self) -> str:
        own = "" if self.anchor == ANCHOR else f"-{self.anchor.fingerprint}"
        return self.device.fingerprint + own

    def _slowdown(self, anchor: Blocks, probes: Sequence[Blocks]) -> tuple[Slowdown, list[str]]:
        """Return how the anchors are slowed compared with their record on this device, and the problems."""
        if self.record is None:
            return UNKNOWN, []
        now_ms = [float(np.median(block_medians(blocks))) for blocks in (anchor, *probes)]
        best = self.record.update(self._anchor_key, now_ms[0], now_ms[1:])
        quiet_ms = (best, *self.record.probes_ms(self._anchor_key))
        slowdown = Slowdown.between(quiet_ms, now_ms[: len(quiet_ms)])
        problems, most = [], self.timing.max_contention
        if slowdown.factors[0] > most:
            problems.append(
                f"something else used the device: the anchor took {slowdown.factors[0]:.2f} times its best"
            )
        if slowdown.unevenness > most:
            problems.append(str(slowdown))
        return slowdown, problems


@dataclass(frozen=True)
class _Named:
    """A network whose errors start with its name."""

    network: Loaded
    name: str

    def run(self, times: int) -> list[float]:
        with _prefixed_errors(self.name):
            return self.network.run(times)

    def close(self) -> None:
        self.network.close()


@contextmanager
def _prefixed_errors(name: str) -> Iterator[None]:
    """Put a network's name in front of its errors."""
    try:
        yield
    except DeviceLostError:
        raise
    except MeasurementError as error:
        if not name:
            raise
        raise MeasurementError(f"{name}: {error}") from error


def throttling(before: Conditions, after: Conditions) -> Iterator[str]:
    """Yield the problems that the device's own state shows.

    >>> list(throttling(Conditions(40.0, 1800.0), Conditions(52.0, 1200.0)))
    ['warmed up from 40 to 52 degrees', 'clocked down from 1800 to 1200 MHz']
    """
    was, now = before.celsius, after.celsius
    if was is not None and now is not None and now > was + HOTTER:
        yield f"warmed up from {was:.0f} to {now:.0f} degrees"
    fast, slow = before.frequency_mhz, after.frequency_mhz
    if fast is not None and slow is not None and slow < 0.9 * fast:
        yield f"clocked down from {fast:.0f} to {slow:.0f} MHz"
    if after.throttled:
        yield "the device throttles itself"


def _disturbance(readings: Sequence[Reading]) -> tuple[int, float]:
    """Sort key of measurements: number of problems, then latency."""
    problems = sum(len(reading.latency.problems) for reading in readings)
    return problems, sum(reading.latency.median_ms for reading in readings)
