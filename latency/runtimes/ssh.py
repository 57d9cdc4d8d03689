"""Another machine, such as a Raspberry Pi, over the system's ssh; nothing is installed or left there."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable
from itertools import count
from typing import Any, TypeVar

from latency.files.model_format import Suffix, exported
from latency.measuring.runtime import Conditions
from latency.measuring.source import Device, DeviceLostError, MeasurementError
from latency.measuring.time_validation import validated_ms
from latency.runtimes.ssh_connection import Connection, LostError, Remote
from search_spaces.errors import InputError
from search_spaces.spec import ArchSpec

PATIENCE_S = 30.0
"""Time limit of every answer, beyond the expected duration of its work."""
SLOWEST_BYTES_S = 100_000
"""Lowest transfer rate to wait for."""

T = TypeVar("T")
_HOST = re.compile(r"(?!.*@-)[\w\[][\w.@:/\[\]%+-]*")


class SshRuntime:
    """Runs models on another machine, in the runtime that its Python has.

    The connection is kept open. If it ends or does not answer in time, it is reopened and the work retried
    once; then the measurement fails, and the next one tries again. If no connection can be opened, the
    device is lost.

    Args:
        remote: The machine.
        patience_s: Time limit of every answer in seconds, beyond the expected duration of its work.
        pause_s: Wait before reconnecting, in seconds.

    Raises:
        InputError: The host is not valid, a runtime is unknown, or threads are below 1.
        MeasurementError: The connection fails, or the machine lacks the runtime.
    """

    def __init__(
        self, remote: Remote, *, patience_s: float = PATIENCE_S, pause_s: float = 1.0
    ) -> None:
        self.remote, self.patience_s, self.pause_s = _checked(remote), patience_s, pause_s
        self._connection: Connection | None = Connection(remote)
        self._facts = self._connection.facts
        self._numbers = count()
        self.device = _device(remote, self._facts)

    def export(self, spec: ArchSpec) -> bytes:
        """Export a network to the remote runtime's format.

        Raises:
            InputError: The format needs an extra that is not installed.
        """
        return exported(spec, self.formats[0])

    @property
    def formats(self) -> tuple[Suffix, ...]:
        """Suffix of the files that the remote runtime runs."""
        return (".onnx",) if self._facts["runtime"] == "onnxruntime" else (".tflite",)

    def load(self, model: bytes) -> SshNetwork:
        """Send a model and load it.

        Raises:
            MeasurementError: The remote runtime rejects it, or there is no connection.
        """
        network = SshNetwork(self, next(self._numbers), model)
        self.with_connection(network.ensure_loaded)
        return network

    def conditions(self) -> Conditions:
        """Return what Linux and a Raspberry Pi's firmware report; the frequency is that after the last run.

        Raises:
            MeasurementError: There is no connection.
        """
        state = self.with_connection(
            lambda remote: remote.ask("conditions", limit_s=self.patience_s)
        )
        return Conditions(state["celsius"], state["mhz"], state["throttled"])

    def close(self) -> None:
        """Close the connection, which ends the runner; the next request opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def with_connection(self, work: Callable[[Connection], T]) -> T:
        """Do some work; if the connection is lost, reconnect and retry once.

        Raises:
            DeviceLostError: It was lost twice and cannot be reopened.
            MeasurementError: It was lost twice but can be reopened: the work is at fault. Or the runner
                rejects the request.
        """
        try:
            return work(self._open())
        except LostError:
            self.close()
            time.sleep(self.pause_s)
        try:
            return work(self._open())
        except LostError as error:
            self.close()
            self._require_reachable(error)
            raise

    def _require_reachable(self, why: LostError) -> None:
        """Distinguish a lost machine from work that crashes its runner."""
        try:
            self._open()
        except MeasurementError:
            raise DeviceLostError(str(why)) from why
        self.close()

    def release(self, number: int) -> None:
        """Unload a model, if there is still a connection."""
        if self._connection is not None:
            try:
                self._connection.ask("close", limit_s=self.patience_s, model=number)
            except LostError:
                self.close()

    def _open(self) -> Connection:
        if self._connection is None:
            connection = Connection(self.remote)
            if connection.facts != self._facts:
                connection.close()
                raise DeviceLostError(
                    f"{self.remote.host} has changed: {connection.facts}, was {self._facts}"
                )
            self._connection = connection
        return self._connection


class SshNetwork:
    """A model on the other machine.

    Args:
        runtime: The runtime whose connection it uses.
        number: Its id on the runner.
        model: The file, sent again after a reconnect.
    """

    def __init__(self, runtime: SshRuntime, number: int, model: bytes) -> None:
        self._runtime, self._number, self._model = runtime, number, model
        self._slowest_ms = 0.0
        self._where: Connection | None = None

    def run(self, times: int) -> list[float]:
        """Run it `times` times; return milliseconds of each run.

        Raises:
            MeasurementError: It cannot be run, there is no connection, or a time is not valid.
        """
        return self._runtime.with_connection(lambda remote: self._run(remote, times))

    def ensure_loaded(self, connection: Connection) -> None:
        """Load it on a connection's runner, unless it is there."""
        if self._where is connection:
            return
        connection.ask(
            "load",
            limit_s=self._runtime.patience_s + len(self._model) / SLOWEST_BYTES_S,
            data=self._model,
            model=self._number,
            sha256=hashlib.sha256(self._model).hexdigest(),
        )
        self._where = connection

    def _run(self, connection: Connection, times: int) -> list[float]:
        moved = self._where is not connection
        self.ensure_loaded(connection)
        if moved:
            self._timed(connection, times)  # warm it up again
        return self._timed(connection, times)

    def _timed(self, connection: Connection, times: int) -> list[float]:
        limit_s = self._runtime.patience_s + 10 * times * self._slowest_ms / 1e3
        answer = connection.ask("run", limit_s=limit_s, model=self._number, times=times)
        taken = validated_ms(answer.get("ms", ()), source=self._runtime.remote.host)
        if len(taken) != times:
            raise LostError(f"{self._runtime.remote.host} sent {len(taken)} times of {times}")
        self._slowest_ms = max(self._slowest_ms, *taken)
        return taken

    def close(self) -> None:
        """Free its memory there."""
        self._runtime.release(self._number)


def _checked(remote: Remote) -> Remote:
    if not _HOST.fullmatch(remote.host):
        raise InputError(
            f"ssh host {remote.host!r} is not valid: give ssh:NAME or ssh:USER@NAME, as ssh takes it"
        )
    if remote.threads < 1:
        raise InputError(f"threads must be at least 1, got {remote.threads}")
    for name in remote.wanted:
        if name not in ("onnxruntime", "litert"):
            raise InputError(f"runtime must be onnxruntime or litert, got {name!r}")
    if remote.config is not None and not remote.config.is_file():
        raise InputError(f"ssh configuration {str(remote.config)!r}: there is no such file")
    return remote


def _device(remote: Remote, facts: dict[str, Any]) -> Device:
    """Identify the machine by what the runner found there."""
    kind = {"onnxruntime": "ONNX Runtime", "litert": "LiteRT"}[facts["runtime"]]
    threads = f"{remote.threads} {'thread' if remote.threads == 1 else 'threads'}"
    name = f"{facts['processor']} ({remote.host}), {threads}, {kind} {facts['version']} (cpu)"
    key = f"ssh|{remote.host}|{name}|{facts['machine']}"
    return Device(name, f"ssh-{hashlib.sha256(key.encode()).hexdigest()[:12]}")
