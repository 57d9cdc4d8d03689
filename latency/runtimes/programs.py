"""Running another program: within a time, and with what it complained about at hand."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import IO

from latency.measuring.source import DeviceLostError, MeasurementError

MOST_BYTES = 1_000_000
"""More output than that is no answer: the program is ended."""


class TimedOutError(MeasurementError):
    """A program was still running when its time was up."""


@dataclass(frozen=True)
class Output:
    """What a program that ended has left.

    Attributes:
        status: Exit status; below 0, the signal that ended it.
        stdout: As text.
        stderr: As text.
    """

    status: int
    stdout: str
    stderr: str

    @property
    def complaint(self) -> str:
        """Its last words: of stderr, or of stdout if it kept that empty, or its exit status."""
        return last_line(self.stderr) or last_line(self.stdout) or f"exit status {self.status}"


def run_program(
    command: Sequence[str], *, timeout_s: float, environment: Mapping[str, str] | None = None
) -> Output:
    """Run a program without a shell and without input, and wait for its end.

    When its time is up, it is killed with all that it started.

    Args:
        command: The program and its arguments.
        timeout_s: How long it may take, in seconds.
        environment: Variables added to this process's.

    Raises:
        TimedOutError: It took longer.
        DeviceLostError: It cannot be started.
        MeasurementError: It prints without end.
    """
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                env={**os.environ, **(environment or {})},
                start_new_session=True,  # so that it has no terminal to ask on, and a group to kill
            )
        except OSError as error:
            raise DeviceLostError(f"{command[0]} cannot be started: {error.strerror}") from error
        try:
            _await(process, command[0], timeout_s=timeout_s, files=(stdout, stderr))
        finally:
            kill_group(process)
        return Output(process.returncode, text_of(stdout), text_of(stderr))


def _await(
    process: subprocess.Popen[bytes], name: str, *, timeout_s: float, files: Sequence[IO[bytes]]
) -> None:
    deadline = time.monotonic() + timeout_s
    while True:
        left = deadline - time.monotonic()
        try:
            process.wait(timeout=max(0.0, min(0.1, left)))
        except subprocess.TimeoutExpired:
            if left <= 0:
                raise TimedOutError(
                    f"{name} was still running after {timeout_s:g} s, and was ended"
                ) from None
        if any(os.fstat(file.fileno()).st_size > MOST_BYTES for file in files):
            raise MeasurementError(f"{name} printed over {MOST_BYTES / 1e6:g} MB, and was ended")
        if process.returncode is not None:
            return


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """End a program that was started in a session of its own, and all that it started.

    One that has ended by itself may have left others at work, and they stay.
    """
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def text_of(file: IO[bytes]) -> str:
    """What stands in a file, whoever has written to it."""
    file.seek(0)
    return file.read(MOST_BYTES).decode(errors="replace")


def last_line(text: str) -> str:
    r"""The last line that has something in it.

    >>> last_line("Warning: ...\nPermission denied (publickey).\r\n\n")
    'Permission denied (publickey).'
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""
