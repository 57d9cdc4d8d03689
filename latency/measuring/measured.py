"""Measured latency on any runtime: quiet if possible, retried if disturbed, and never silently wrong."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

from latency.measuring.anchor import ANCHOR, AnchorRecord
from latency.measuring.device_lock import alone_on, pinned
from latency.measuring.interleave import interleave
from latency.measuring.runtime import Conditions, Loaded, Runtime
from latency.measuring.source import Device, DeviceLostError, Latency, MeasurementError
from latency.measuring.statistics import Blocks, Ratio, Timing, block_medians, ratio, summarize
from search_spaces.spec import ArchSpec

HOTTER = 5.0
"""Degrees by which a device may warm up during a measurement."""


@dataclass(frozen=True)
class Reading:
    """A network's latency with the times that it comes from.

    Attributes:
        latency: What they amount to.
        blocks: Run times in milliseconds.
        anchor: The anchor's, of the same rounds.
    """

    latency: Latency
    blocks: Blocks
    anchor: Blocks

    def over(self, base: Reading) -> Ratio:
        """This network's latency over another's of the same measurement."""
        return ratio(self.blocks, base.blocks)


class Measured:
    """A latency source that measures: the statistics of every runtime.

    Networks are run in short blocks, interleaved with blocks of the anchor. A measurement that was
    disturbed is repeated; if none was quiet, the quietest is returned and says what disturbed it.

    Args:
        runtime: Runs networks on the device.
        timing: How long to measure, and what counts as disturbed.
        record: The anchor's best times; without it contention is seen in the times alone.
        keep: Is given every reading, raw times and all.
        clock: Seconds.
        sleep: Waits for so many seconds.
        anchor: Run beside whatever is measured; the same small network, unless `beside` chooses another.
    """

    def __init__(
        self,
        runtime: Runtime,
        *,
        timing: Timing | None = None,
        record: AnchorRecord | None = None,
        keep: Callable[[Reading], None] | None = None,
        clock: Callable[[], float] = time.perf_counter,
        sleep: Callable[[float], None] = time.sleep,
        anchor: ArchSpec = ANCHOR,
    ) -> None:
        self.runtime, self.timing = runtime, timing or Timing()
        self.record, self.keep, self.clock, self.sleep = record, keep, clock, sleep
        self.anchor = anchor
        self._anchor: Loaded | None = None

    @property
    def device(self) -> Device:
        """What is measured on."""
        return self.runtime.device

    def timed(self, timing: Timing) -> Measured:
        """The same device, measured for another length of time; its readings are not kept."""
        other = self._like(timing=timing, anchor=self.anchor)
        other._anchor = self._anchor
        return other

    def beside(self, reference: ArchSpec) -> Measured:
        """The same device with another network as the anchor; its readings are not kept.

        Where something else uses the device, a small network slows down more than a large one. The ratio of
        two networks that are alike stays true, so what is narrowed is best measured beside what it was.
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
            MeasurementError: The device refuses it, or has gone.
        """
        return self.latency_of_model(self.runtime.export(spec))

    def latency_of_model(self, model: bytes) -> Latency:
        """Measure a network in a file of the runtime's format."""
        (reading,) = self.measure([model])
        return reading.latency

    def compare(self, specs: Sequence[ArchSpec]) -> list[Reading]:
        """Measure several networks in the same rounds, so that their ratios are true."""
        return self.measure([self.runtime.export(spec) for spec in specs])

    def measure(self, models: Sequence[bytes], *, names: Sequence[str] = ()) -> list[Reading]:
        """Measure networks in files, interleaved.

        Args:
            models: In the runtime's format.
            names: What to call them where one is refused; nothing by default.

        Raises:
            MeasurementError: The device refuses one, or has gone.
        """
        with alone_on(self.device), self._loaded(models, names) as networks:
            best = self._once(networks)
            for attempt in range(self.timing.retries):
                if all(reading.latency.stable for reading in best):
                    break
                self.sleep(self.timing.pause_s * 2**attempt)
                best = min(best, self._once(networks), key=_disturbance)
        if self.keep is not None:
            for reading in best:
                self.keep(reading)
        return best

    def close(self) -> None:
        """Take the anchor off the device; the next measurement brings it back."""
        if self._anchor is not None:
            self._anchor.close()
            self._anchor = None

    @contextmanager
    def _loaded(self, models: Sequence[bytes], names: Sequence[str]) -> Iterator[list[Loaded]]:
        if self._anchor is None:
            self._anchor = self.runtime.load(self.runtime.export(self.anchor))
        with ExitStack() as held:
            networks: list[Loaded] = []
            for place, model in enumerate(models):
                name = names[place] if names else ""
                with _naming(name):
                    network = self.runtime.load(model)
                held.callback(network.close)
                networks.append(_Named(network, name) if name else network)
            yield networks

    def _once(self, networks: Sequence[Loaded]) -> list[Reading]:
        assert self._anchor is not None
        before = self.runtime.conditions()
        with pinned() if self.device.local else ExitStack():
            *blocks, anchor = interleave(
                [*networks, self._anchor], self.timing, watched=len(networks), clock=self.clock
            )
        problems = (
            *self._contention(anchor),
            *throttling(before, self.runtime.conditions()),
        )
        return [self._reading(own, anchor, problems) for own in blocks]

    def _reading(self, own: Blocks, anchor: Blocks, problems: Sequence[str]) -> Reading:
        latency = summarize(own, self.device, self.timing, problems=problems)
        pace_ms = latency.median_ms / ratio(own, anchor).value
        return Reading(replace(latency, anchor_ms=pace_ms), own, anchor)

    def _contention(self, anchor: Blocks) -> Iterator[str]:
        """Whether the anchor is slower than its record on this device."""
        if self.record is None:
            return
        median = float(sorted(block_medians(anchor))[len(anchor) // 2])
        key = self.device.fingerprint
        if self.anchor != ANCHOR:
            key += f"-{self.anchor.fingerprint}"
        best = self.record.see(key, median)
        if median > self.timing.max_contention * best:
            yield f"something else used the device: the anchor took {median / best:.2f} times its best"


@dataclass(frozen=True)
class _Named:
    """A network whose failures say its name."""

    network: Loaded
    name: str

    def run(self, times: int) -> list[float]:
        with _naming(self.name):
            return self.network.run(times)

    def close(self) -> None:
        self.network.close()


@contextmanager
def _naming(name: str) -> Iterator[None]:
    """Put a network's name before what is wrong with it."""
    try:
        yield
    except DeviceLostError:
        raise
    except MeasurementError as error:
        if not name:
            raise
        raise MeasurementError(f"{name}: {error}") from error


def throttling(before: Conditions, after: Conditions) -> Iterator[str]:
    """What the device itself says against a measurement.

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
    """For comparing measurements: how many problems, then how slow."""
    problems = sum(len(reading.latency.problems) for reading in readings)
    return problems, sum(reading.latency.median_ms for reading in readings)
