"""Several devices of one make as one source: each network goes to the next device that is idle."""

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
    beside,
    close,
)
from search_spaces.errors import InputError
from search_spaces.spec import ArchSpec

_log = logging.getLogger(__name__)


class Pool:
    """A latency source over devices that measure at the same time, for as many threads that ask.

    A member that is lost is dropped, which is logged as a warning, and its network goes to another.

    Args:
        members: Sources of distinct devices of one make.

    Raises:
        InputError: There is none, one is there twice, or they are not of one make.
    """

    def __init__(self, members: Sequence[LatencySource]) -> None:
        self.device = _shared([member.device for member in members])
        self._members, self._idle = list(members), list(members)
        self._changed = Condition()
        self._last: DeviceLostError | None = None

    @property
    def units(self) -> list[Device]:
        """The devices that are left."""
        return [member.device for member in self._members]

    def beside(self, reference: ArchSpec) -> Pool:
        """The same devices, each measuring beside a network: see `Measured.beside`."""
        return Pool([beside(member, reference) for member in self._members])

    def close(self) -> None:
        """Take off the devices what is kept there between measurements."""
        for member in self._members:
            close(member)

    def latency(self, spec: ArchSpec) -> Latency:
        """The network's latency on the member that is idle first.

        Raises:
            DeviceLostError: All members are.
            MeasurementError: A member refuses the network, as its likes would.
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
        """A member for one network; waits until there is one."""
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


def open_pool(openers: Sequence[Callable[[], LatencySource]]) -> Pool:
    """A pool of the devices that can be opened; the others are left out, which is logged as a warning.

    Raises:
        InputError: None can be opened; or see `Pool`.
    """
    members: list[LatencySource] = []
    problems: list[str] = []
    for opened in openers:
        try:
            members.append(opened())
        except (InputError, MeasurementError) as error:
            problems.append(str(error))
    if not members and problems:
        raise InputError(problems[0])
    pool = Pool(members)
    for problem in problems:
        _log.warning("left out of the pool: %s", problem)
    return pool


def _shared(devices: Sequence[Device]) -> Device:
    """The device that a pool of these is: named as they are, known by their make."""
    if not devices:
        raise InputError("a pool needs a device, got none")
    first, seen = devices[0], set[str]()
    for device in devices:
        if not device.make:
            raise InputError(f"{device.name} cannot be in a pool: give it a --device alone")
        if device.fingerprint in seen:
            raise InputError(f"{device.name} is in the pool twice: give each device once")
        if device.make != first.make:
            raise InputError(_unlike(first, device))
        seen.add(device.fingerprint)
    return Device(first.name, first.make)


def _unlike(first: Device, other: Device) -> str:
    if first.name == other.name:
        return (
            f"the pool's devices are all {first.name}, but differ in Android's build or in "
            "benchmark_model: bring them to one version"
        )
    return (
        f"a pool is of devices of one make, got {first.name} and {other.name}: give each make a "
        "--device of its own"
    )
