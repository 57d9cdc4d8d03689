"""Run another program with a time limit, and capture its output."""

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
"""Maximum output: a program that prints more is killed."""


class TimedOutError(MeasurementError):
    """A program exceeded its time limit."""


@dataclass(frozen=True)
class Output:
    """Exit status and output of a program.

    Attributes:
        status: Exit status; if negative, the signal that killed it.
        stdout: Standard output as text.
        stderr: Standard error as text.
    """

    status: int
    stdout: str
    stderr: str

    @property
    def complaint(self) -> str:
        """The last line of stderr, else of stdout, else the exit status."""
        return last_line(self.stderr) or last_line(self.stdout) or f"exit status {self.status}"


def run_program(
    command: Sequence[str], *, timeout_s: float, environment: Mapping[str, str] | None = None
) -> Output:
    """Run a program without a shell and without input, and wait for its end.

    At the time limit it is killed together with its child processes.

    Args:
        command: The program and its arguments.
        timeout_s: Time limit in seconds.
        environment: Variables added to this process's.

    Raises:
        TimedOutError: It exceeded the limit.
        DeviceLostError: It cannot be started.
        MeasurementError: It prints too much.
    """
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                env={**os.environ, **(environment or {})},
                start_new_session=True,  # no terminal to prompt on, and a process group to kill
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
                    f"{name} was still running after {timeout_s:g} s and was killed"
                ) from None
        if any(os.fstat(file.fileno()).st_size > MOST_BYTES for file in files):
            raise MeasurementError(f"{name} printed over {MOST_BYTES / 1e6:g} MB and was killed")
        if process.returncode is not None:
            return


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill a program that was started in its own session, with its child processes.

    If it has ended by itself, its remaining children are left alone.
    """
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def text_of(file: IO[bytes]) -> str:
    """Return a file's content from the start."""
    file.seek(0)
    return file.read(MOST_BYTES).decode(errors="replace")


def last_line(text: str) -> str:
    r"""Return the last nonblank line.

    >>> last_line("Warning: ...\nPermission denied (publickey).\r\n\n")
    'Permission denied (publickey).'
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""
