"""A connection by the system's ssh to `ssh_runner.py` on another machine: requests, and answers in time."""

from __future__ import annotations

import contextlib
import json
import shlex
import subprocess
import tempfile
import threading
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import IO, Any

from latency.measuring.source import MeasurementError
from latency.runtimes.programs import kill_group, last_line, text_of

OPTIONS = (
    "BatchMode=yes",  # a password or an unknown host ends it with a message, and never asks
    "ConnectTimeout=10",
    "ServerAliveInterval=5",
    "ServerAliveCountMax=3",
    "ControlMaster=no",  # ours is no one else's; one that the user has opened is used
    "ClearAllForwardings=yes",
    "RemoteCommand=none",
)
"""What the user's own configuration may not change, as `ssh -o`."""

BOOT = "import sys;exec(sys.stdin.buffer.read(int(sys.stdin.buffer.readline())))"
MARK = "mobile-nas-runner "
LONGEST = 1 << 24
"""A line of more bytes is no answer."""


class LostError(MeasurementError):
    """The connection is of no more use; another one may be."""


class RefusedError(MeasurementError):
    """The other side is well and cannot do what was asked."""


@dataclass(frozen=True)
class Remote:
    """What to connect to, and what to run there.

    Attributes:
        host: As ssh takes it: a name of its configuration, `user@name`, `ssh://user@name:port`.
        python: A Python there, with the runtime.
        wanted: Runtimes, the preferred one first: `onnxruntime`, `litert`.
        threads: That compute.
        config: Another file than the user's own configuration of ssh.
        start_s: How long connecting and starting may take, in seconds.
    """

    host: str
    python: str = "python3"
    wanted: Sequence[str] = ("onnxruntime", "litert")
    threads: int = 1
    config: Path | None = None
    start_s: float = 60.0

    @property
    def command(self) -> list[str]:
        """The call of ssh. The other side's shell gets one line, in which all is quoted."""
        options = [word for option in OPTIONS for word in ("-o", option)]
        config = [] if self.config is None else ["-F", str(self.config)]
        line = shlex.join([self.python, "-u", "-c", BOOT])
        return ["ssh", *config, *options, "-T", "--", self.host, line]

    @property
    def runner(self) -> bytes:
        """The program to run there."""
        source = Path(__file__).with_name("ssh_runner.py").read_text(encoding="utf-8")
        call = f"main({MARK!r}, {list(self.wanted)!r}, {self.threads!r})"
        return f"{source}\n{call}\n".encode()


class Connection:
    """A runner on another machine, which ends with the connection.

    Args:
        remote: What to connect to.

    Attributes:
        facts: What the runner told of the machine and its runtime.

    Raises:
        LostError: No connection, or no runner at its end; ssh's last words say why.
        RefusedError: The machine lacks what the runner needs.
    """

    def __init__(self, remote: Remote) -> None:
        self._host = remote.host
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - `close` does
        try:
            self._process = subprocess.Popen(
                remote.command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                start_new_session=True,  # so that it has no terminal to ask on
            )
        except OSError as error:
            raise LostError(f"ssh cannot be started: {error.strerror}") from error
        self.close = weakref.finalize(self, _end, self._process, self._stderr)
        try:
            self.facts = self._start(remote)
        except BaseException:
            self.close()
            raise

    def _start(self, remote: Remote) -> dict[str, Any]:
        runner = remote.runner
        with self._within(remote.start_s, "starting"):
            self._send(b"%d\n" % len(runner) + runner)
            return self._answer(self._after_mark())

    def ask(self, do: str, *, limit_s: float, data: bytes = b"", **details: Any) -> dict[str, Any]:
        """Send a request and wait for its answer.

        Args:
            do: What, as the runner's `answer` knows it.
            limit_s: How long the answer may take, in seconds; anew after each word that it waits.
            data: What follows the request.
            details: Of the request.

        Raises:
            LostError: The connection ended, or there was no answer in time, or none that can be read.
            RefusedError: The other side cannot do it; its message.
        """
        request = {"do": do, "limit_s": ceil(limit_s), "bytes": len(data), **details}
        with self._within(limit_s, do):
            self._send(json.dumps(request).encode() + b"\n" + data)
            answer = self._answer(self._line())
        while "waiting" in answer:
            with self._within(limit_s, do):
                answer = self._answer(self._line())
        return answer

    @contextlib.contextmanager
    def _within(self, limit_s: float, what: str) -> Iterator[None]:
        """End ssh when time is up, which ends every read and write on it."""
        expired = threading.Event()

        def expire() -> None:
            expired.set()
            kill_group(self._process)

        timer = threading.Timer(limit_s, expire)
        timer.daemon = True
        timer.start()
        try:
            yield
        except RefusedError:
            raise
        except (LostError, OSError) as error:
            lost = error if isinstance(error, LostError) else self._lost()
            kill_group(self._process)
            if expired.is_set():
                lost = LostError(f"{self._host} did not answer within {limit_s:g} s ({what})")
            raise lost from None
        except BaseException:
            kill_group(self._process)  # an answer not waited for would be taken for the next one
            raise
        finally:
            timer.cancel()

    def _send(self, data: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(data)
        self._process.stdin.flush()

    def _line(self) -> bytes:
        assert self._process.stdout is not None
        line = self._process.stdout.readline(LONGEST)
        if not line.endswith(b"\n"):
            raise self._lost()
        return line

    def _after_mark(self) -> bytes:
        """The runner's first line, without what a login shell has printed before."""
        while True:
            _, mark, facts = self._line().partition(MARK.encode())
            if mark:
                return facts

    def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            answer = json.loads(line)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            shown = line[:80].decode(errors="replace").strip()
            raise LostError(f"{self._host} sent {shown!r} instead of an answer")
        if "refused" in answer:
            raise RefusedError(f"{self._host}: {answer['refused']}")
        return answer

    def _lost(self) -> LostError:
        """Why the connection ended, in the last words that were heard."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=5.0)  # its last words may come after the end of its output
        kill_group(self._process)
        words = last_line(text_of(self._stderr)) or f"exit status {self._process.returncode}"
        return LostError(f"the connection to {self._host} ended: {words}")


def _end(process: subprocess.Popen[bytes], stderr: IO[bytes]) -> None:
    kill_group(process)
    for pipe in (process.stdin, process.stdout, stderr):
        if pipe is not None:
            with contextlib.suppress(OSError):  # what was still to be written has no reader
                pipe.close()
