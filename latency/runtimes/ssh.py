"""Another machine, such as a Raspberry Pi, over the system's ssh: nothing is installed or left there."""

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
from latency.measuring.time_validation import plausible_ms
from latency.runtimes.ssh_connection import Connection, LostError, Remote
from search_spaces.errors import InputError
from search_spaces.spec import ArchSpec

PATIENCE_S = 30.0
"""How long any answer may take, beyond what its work is expected to take."""
SLOWEST_BYTES_S = 100_000
"""Of a connection that is worth waiting for."""

T = TypeVar("T")
_HOST = re.compile(r"(?!.*@-)[\w\[][\w.@:/\[\]%+-]*")


class SshRuntime:
    """Runs models on another machine, in the runtime that its Python has.

    A connection is kept open. One that ends, or does not answer in time, is opened once more and the work
    repeated; then the measurement fails, and the next one begins with another try. If no connection can be
    opened any more, the device is lost.

    Args:
        remote: What to connect to.
        patience_s: How long any answer may take, in seconds, beyond what its work is expected to take.
        pause_s: Wait before connecting once more, in seconds.

    Raises:
        InputError: The host cannot be one, a runtime is unknown, or threads are below 1.
        MeasurementError: No connection, or the machine lacks the runtime.
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
        """The network in the format of the runtime there.

        Raises:
            InputError: The format needs an extra that is not installed here.
        """
        return exported(spec, self.formats[0])

    @property
    def formats(self) -> tuple[Suffix, ...]:
        """Suffix of the files that the runtime there runs."""
        return (".onnx",) if self._facts["runtime"] == "onnxruntime" else (".tflite",)

    def load(self, model: bytes) -> SshNetwork:
        """The model, sent and loaded.

        Raises:
            MeasurementError: The runtime there refuses it, or there is no connection.
        """
        network = SshNetwork(self, next(self._numbers), model)
        self.connected(network.on)
        return network

    def conditions(self) -> Conditions:
        """As Linux and a Raspberry Pi's firmware tell them; the frequency, at the end of the last run.

        Raises:
            MeasurementError: There is no connection.
        """
        told = self.connected(lambda there: there.ask("conditions", limit_s=self.patience_s))
        return Conditions(told["celsius"], told["mhz"], told["throttled"])

    def close(self) -> None:
        """End the connection, and the runner with it; what is asked next opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def connected(self, work: Callable[[Connection], T]) -> T:
        """Do something with the connection; once more with a new one if it is lost.

        Raises:
            DeviceLostError: It was lost twice, and there is no other.
            MeasurementError: It was lost twice, and there is: what is asked is at fault. Or the other
                side cannot do it.
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
            self._require_there(error)
            raise

    def _require_there(self, why: LostError) -> None:
        """Tell a machine that is gone from one that what it was asked for brings down."""
        try:
            self._open()
        except MeasurementError:
            raise DeviceLostError(str(why)) from why
        self.close()

    def release(self, number: int) -> None:
        """Forget a model there, if there is still a connection that has it."""
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
                    f"{self.remote.host} is not what it was: {connection.facts}, was {self._facts}"
                )
            self._connection = connection
        return self._connection


class SshNetwork:
    """A model on the other machine.

    Args:
        runtime: Whose connection it uses.
        number: Its name there.
        model: The file, to send again when there is another connection.
    """

    def __init__(self, runtime: SshRuntime, number: int, model: bytes) -> None:
        self._runtime, self._number, self._model = runtime, number, model
        self._slowest_ms = 0.0
        self._where: Connection | None = None

    def run(self, times: int) -> list[float]:
        """Run it so many times; milliseconds of each.

        Raises:
            MeasurementError: It cannot be run, there is no connection, or a time is no time.
        """
        return self._runtime.connected(lambda there: self._run(there, times))

    def on(self, connection: Connection) -> None:
        """Load it where it is not loaded yet."""
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
        self.on(connection)
        if moved:
            self._timed(connection, times)  # it was warm where it was, and has to be again
        return self._timed(connection, times)

    def _timed(self, connection: Connection, times: int) -> list[float]:
        limit_s = self._runtime.patience_s + 10 * times * self._slowest_ms / 1e3
        answer = connection.ask("run", limit_s=limit_s, model=self._number, times=times)
        taken = plausible_ms(answer.get("ms", ()), source=self._runtime.remote.host)
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
            f"ssh host {remote.host!r} cannot be one: give ssh:NAME or ssh:USER@NAME, as ssh takes it"
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
    """Named and told apart by what the runner found there."""
    kind = {"onnxruntime": "ONNX Runtime", "litert": "LiteRT"}[facts["runtime"]]
    threads = f"{remote.threads} {'thread' if remote.threads == 1 else 'threads'}"
    name = f"{facts['processor']} ({remote.host}), {threads}, {kind} {facts['version']} (cpu)"
    key = f"ssh|{remote.host}|{name}|{facts['machine']}"
    return Device(name, f"ssh-{hashlib.sha256(key.encode()).hexdigest()[:12]}")
