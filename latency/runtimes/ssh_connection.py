"""A connection by the system's ssh to `ssh_runner.py` on another machine, with timeouts."""

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
    "BatchMode=yes",  # fail instead of prompting for a password or an unknown host
    "ConnectTimeout=10",
    "ServerAliveInterval=5",
    "ServerAliveCountMax=3",
    "ControlMaster=no",  # do not become a master; use one that the user has opened
    "ClearAllForwardings=yes",
    "RemoteCommand=none",
)
"""Options that override the user's configuration, as `ssh -o`."""

BOOT = "import sys;exec(sys.stdin.buffer.read(int(sys.stdin.buffer.readline())))"
MARK = "mobile-nas-runner "
LONGEST = 1 << 24
"""Maximum bytes of an answer line."""


class LostError(MeasurementError):
    """The connection is lost; a new one may work."""


class RefusedError(MeasurementError):
    """The runner rejects a request; the connection is fine."""


@dataclass(frozen=True)
class Remote:
    """A machine and what to run on it.

    Attributes:
        host: As ssh takes it: a name in its configuration, `user@name`, `ssh://user@name:port`.
        python: A Python on the machine that has the runtime.
        wanted: Runtimes in order of preference: `onnxruntime`, `litert`.
        threads: Compute threads.
        config: ssh configuration file instead of the user's.
        start_s: Time limit of connecting and starting in seconds.
    """

    host: str
    python: str = "python3"
    wanted: Sequence[str] = ("onnxruntime", "litert")
    threads: int = 1
    config: Path | None = None
    start_s: float = 60.0

    @property
    def command(self) -> list[str]:
        """The ssh command. The remote shell gets a single quoted line."""
        options = [word for option in OPTIONS for word in ("-o", option)]
        config = [] if self.config is None else ["-F", str(self.config)]
        line = f"{_unquoted_home(self.python)} {shlex.join(['-u', '-c', BOOT])}"
        return ["ssh", *config, *options, "-T", "--", self.host, line]

    @property
    def runner(self) -> bytes:
        """The program to run on the machine."""
        source = Path(__file__).with_name("ssh_runner.py").read_text(encoding="utf-8")
        call = f"main({MARK!r}, {list(self.wanted)!r}, {self.threads!r})"
        return f"{source}\n{call}\n".encode()


def _unquoted_home(path: str) -> str:
    """Quote a path for the remote shell, which is to replace `~/` itself.

    >>> _unquoted_home("~/my venv/bin/python"), _unquoted_home("python3")
    ("~/'my venv/bin/python'", 'python3')
    """
    home = "~/"
    if path.startswith(home):
        return home + shlex.quote(path.removeprefix(home))
    return shlex.quote(path)


class Connection:
    """A runner on another machine, which ends with the connection.

    Args:
        remote: The machine.

    Attributes:
        facts: The machine and its runtime, as reported by the runner.

    Raises:
        LostError: The connection or the runner cannot be started; the message is ssh's.
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
                start_new_session=True,  # no terminal to prompt on
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
            do: Name of the request; see the runner's `answer`.
            limit_s: Time limit of the answer in seconds; restarted whenever the runner reports waiting.
            data: Bytes after the request.
            details: Further fields of the request.

        Raises:
            LostError: The connection ended, or there was no valid answer in time.
            RefusedError: The runner rejects the request; the message is its own.
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
        """Kill ssh at the time limit, which ends every read and write on it."""
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
            kill_group(self._process)  # a late answer would be taken for the next one
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
        """Return the runner's first line, without what a login shell printed before."""
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
        """Explain with ssh's last line why the connection ended."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=5.0)  # stderr may be written after the end of the output
        kill_group(self._process)
        words = last_line(text_of(self._stderr)) or f"exit status {self._process.returncode}"
        return LostError(f"the connection to {self._host} ended: {words}")


def _end(process: subprocess.Popen[bytes], stderr: IO[bytes]) -> None:
    kill_group(process)
    for pipe in (process.stdin, process.stdout, stderr):
        if pipe is not None:
            with contextlib.suppress(OSError):  # the pipe may be broken
                pipe.close()
