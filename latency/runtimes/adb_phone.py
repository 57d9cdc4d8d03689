"""An Android phone behind adb: run scripts, push files, reconnect when it is lost."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from latency.measuring.source import DeviceLostError, MeasurementError
from latency.runtimes.programs import Output, TimedOutError, run_program
from search_spaces.errors import InputError

ADB_S = 30.0
"""Time limit of adb itself: starting its server, finding or reconnecting a phone."""
SLOWEST_BYTES_S = 200_000
"""Lowest transfer rate to wait for."""
MARK = "mobile-nas exit status "

T = TypeVar("T")

_STATES = {
    "unauthorized": "allow USB debugging on its screen",
    "authorizing": "wait a moment, or allow USB debugging on its screen",
    "offline": "unplug it and plug it in again, or type adb reconnect",
    "no permissions": "this user may not use it: see adb devices",
}
"""Fix by state of `adb devices`, for states in which a phone cannot be used."""


class LostError(MeasurementError):
    """The phone did not answer, or not as expected; a retry may succeed."""


class Phone:
    """An attached phone.

    Args:
        serial: As listed by `adb devices`; may be left out if there is only one phone.
        adb_s: Time limit of adb itself in seconds.

    Raises:
        InputError: No adb, no such phone, none or several phones, or one that cannot be used yet.
        MeasurementError: adb does not answer.
    """

    def __init__(self, serial: str | None = None, *, adb_s: float = ADB_S) -> None:
        self.adb_s = adb_s
        self.serial = select_phone(attached_phones(adb_s=adb_s), serial)

    def shell(self, script: str, *, timeout_s: float) -> tuple[int, str]:
        """Run a script on the phone.

        Args:
            script: For the phone's `sh`; foreign text in it must be quoted.
            timeout_s: Time limit in seconds.

        Returns:
            Its exit status, and its output on both streams.

        Raises:
            LostError: There was no complete answer in time.
        """
        # Before Android 7 adb does not return the exit status, so it is printed.
        wrapped = f"({script}) 2>&1; s=$?; echo; echo {shlex.quote(MARK)}$s"
        printed = self._to_phone("shell", wrapped, timeout_s=timeout_s)
        text, mark, status = printed.stdout.replace("\r\n", "\n").rpartition(MARK)
        if printed.status != 0 or not mark or not status.strip().isdigit():
            raise LostError(f"{self.serial}: {printed.complaint}")
        return int(status), text

    def push(self, local: Path, remote: str) -> None:
        """Copy a file to the phone.

        Raises:
            LostError: There was no answer in time, or it could not be written.
        """
        timeout_s = self.adb_s + local.stat().st_size / SLOWEST_BYTES_S
        pushed = self._to_phone("push", str(local), remote, timeout_s=timeout_s)
        if pushed.status != 0:
            raise LostError(f"{self.serial}: {pushed.complaint}")

    def with_retry(self, work: Callable[[], T]) -> T:
        """Do some work; if the phone is lost meanwhile, reconnect and retry once.

        Raises:
            DeviceLostError: The phone cannot be reconnected, or does not answer.
            LostError: It was lost again but answers otherwise: the work itself is at fault.
        """
        try:
            return work()
        except LostError as error:
            self._reconnect(error)
        try:
            return work()
        except LostError as error:
            self._require_reachable(error)
            raise

    def _reconnect(self, why: LostError) -> None:
        try:
            if re.search(r":\d+$", self.serial):  # over the network
                self._adb("disconnect", self.serial)
                self._adb("connect", self.serial)
            else:
                self._adb("-s", self.serial, "reconnect")
            back = self._adb("-s", self.serial, "wait-for-device")
        except TimedOutError:
            raise DeviceLostError(
                f"{why}; and it did not come back within {self.adb_s:g} s"
            ) from why
        if back.status != 0:
            raise DeviceLostError(f"{why}; and it did not come back: {back.complaint}") from why

    def _require_reachable(self, why: LostError) -> None:
        """Distinguish a lost phone from work that the phone cannot do."""
        self._reconnect(why)
        try:
            self.shell("true", timeout_s=self.adb_s)
        except LostError:
            raise DeviceLostError(str(why)) from why

    def _to_phone(self, *words: str, timeout_s: float) -> Output:
        try:
            return run_program(["adb", "-s", self.serial, *words], timeout_s=timeout_s)
        except TimedOutError as error:
            raise LostError(
                f"{self.serial} did not answer within {timeout_s:g} s (adb {words[0]})"
            ) from error

    def _adb(self, *words: str) -> Output:
        return run_program(["adb", *words], timeout_s=self.adb_s)


def attached_phones(*, adb_s: float = ADB_S) -> dict[str, str]:
    """List the phones that adb sees: their states by serial.

    Raises:
        InputError: adb is not installed.
        MeasurementError: adb does not answer.
    """
    if shutil.which("adb") is None:
        raise InputError("adb is not installed: install it, for instance with apt install adb")
    return parse_devices(run_program(["adb", "devices"], timeout_s=adb_s).stdout)


def parse_devices(listing: str) -> dict[str, str]:
    r"""Parse the output of `adb devices`: states by serial.

    >>> parse_devices("List of devices attached\nR58M\tdevice\n127.0.0.1:5555\toffline\n\n")
    {'R58M': 'device', '127.0.0.1:5555': 'offline'}
    >>> parse_devices("adb-4c75-lL2him (2)._adb-tls-connect._tcp\tdevice\n")  # found on the network
    {'adb-4c75-lL2him (2)._adb-tls-connect._tcp': 'device'}
    """
    rows = [line.split("\t", 1) for line in listing.splitlines() if "\t" in line]
    return {serial.strip(): state.strip() for serial, state in rows}


def select_phone(phones: dict[str, str], serial: str | None) -> str:
    """Return the serial of the selected phone, if it can be used.

    >>> select_phone({"R58M": "device"}, None)
    'R58M'

    Raises:
        InputError: None or several match, or it cannot be used yet.
    """
    listed = ", ".join(phones) or "none"
    if serial is None:
        if not phones:
            raise InputError(
                "adb sees no phone: plug one in, and allow USB debugging in its developer options"
            )
        if len(phones) > 1:
            example = shlex.quote(f"adb:{min(phones)}")
            raise InputError(f"adb sees several phones ({listed}): give one, as in {example}")
        (serial,) = phones
    if serial not in phones:
        raise InputError(f"adb sees no phone {serial!r}: it sees {listed}")
    state = phones[serial]
    if state != "device":
        mend = next((text for name, text in _STATES.items() if state.startswith(name)), "")
        raise InputError(f"phone {serial} is {state!r} to adb" + (f": {mend}" if mend else ""))
    return serial
