"""Several identical devices as one source: each network goes to the next idle device."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from threading import Condition

from latency.measuring.source import (
    Device,
    DeviceLostError,
    Latency,
    LatencySource,
    MeasurementError,
    close,
    with_anchor,
)
from search_spaces.errors import InputError
from search_spaces.spec import ArchSpec

_log = logging.getLogger(__name__)


class Pool:
    """A latency source over devices that measure in parallel; call it from as many threads.

    A lost member is dropped with a warning, and its network goes to another.

    Args:
        members: Sources of distinct devices of one make.

    Raises:
        InputError: There are no members, one is listed twice, or they are not of one make.
    """

    def __init__(self, members: Sequence[LatencySource]) -> None:
        self.device = _shared([member.device for member in members])
        self._members, self._idle = list(members), list(members)
        self._changed = Condition()
        self._last: DeviceLostError | None = None

    @property
    def devices(self) -> list[Device]:
        """The remaining devices."""
        return [member.device for member in self._members]

    def with_anchor(self, reference: ArchSpec) -> Pool:
        """Return a pool of the same devices with another anchor; see `Measured.with_anchor`."""
        return Pool([with_anchor(member, reference) for member in self._members])

    def close(self) -> None:
        """Free what the members keep on their devices between measurements."""
        for member in self._members:
            close(member)

    def latency(self, spec: ArchSpec) -> Latency:
        """Measure on the first idle member.

        Raises:
            DeviceLostError: All members are lost.
            MeasurementError: A member rejects the network, as the others would.
        """
        while True:
            with self._idle_member() as member:
                try:
                    reading = member.latency(spec)
                except DeviceLostError as lost:
                    self._drop(member, lost)
                else:
                    return replace(reading, fingerprint=self.device.fingerprint)

    @contextmanager
    def _idle_member(self) -> Iterator[LatencySource]:
        """Wait for an idle member, and hold it for one network."""
        with self._changed:
            self._changed.wait_for(lambda: self._idle or not self._members)
            if not self._members:
                raise DeviceLostError(f"no device of the pool is left; the last: {self._last}")
            member = self._idle.pop(0)
        try:
            yield member
        finally:
            with self._changed:
                if member in self._members:
                    self._idle.append(member)
                self._changed.notify_all()

    def _drop(self, member: LatencySource, lost: DeviceLostError) -> None:
        with self._changed:
            self._members.remove(member)
            self._last = lost
        _log.warning("a device of the pool is lost (%d left): %s", len(self._members), lost)


def open_pool(openers: Sequence[Callable[[], LatencySource]], *, once: bool = False) -> Pool:
    """Make a pool of the devices that can be opened; log a warning for each of the others.

    Args:
        openers: Open the devices.
        once: Leave out a device that was opened before, such as one attached by USB and by Wi-Fi.

    Raises:
        InputError: None can be opened; or see `Pool`.
    """
    members: list[LatencySource] = []
    problems: list[str] = []
    for opener in openers:
        try:
            member = opener()
        except (InputError, MeasurementError) as error:
            problems.append(str(error))
            continue
        known = {one.device.fingerprint for one in members}
        if once and member.device.fingerprint in known:
            problems.append(f"{member.device.name} is attached twice: its first connection is used")
            close(member)
        else:
            members.append(member)
    if not members and problems:
        raise InputError(problems[0])
    pool = Pool(members)
    for problem in problems:
        _log.warning("left out of the pool: %s", problem)
    return pool


def _shared(devices: Sequence[Device]) -> Device:
    """Return the device of a pool: the members' name, and their make as fingerprint."""
    if not devices:
        raise InputError("a pool needs at least one device, got none")
    first, seen = devices[0], set[str]()
    for device in devices:
        if not device.make:
            raise InputError(f"{device.name} cannot be in a pool: give it a --device alone")
        if device.fingerprint in seen:
            raise InputError(f"{device.name} is in the pool twice: give each device once")
        if device.make != first.make:
            raise InputError(_mismatch(first, device))
        seen.add(device.fingerprint)
    return Device(first.name, first.make)


def _mismatch(first: Device, other: Device) -> str:
    if first.name == other.name:
        return (
            f"the pool's devices are all {first.name}, but differ in Android's build or in "
            "benchmark_model: bring them to one version"
        )
    return (
        f"a pool needs devices of one make, got {first.name} and {other.name}: give each make "
        "its own --device"
    )
