"""This machine's CPU with LiteRT and XNNPACK, the successor of the papers' runtime."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

from latency.files.model_format import Suffix
from latency.measuring.cpu import linux_conditions
from latency.measuring.run_clock import run_clock, time_runs
from latency.measuring.runtime import Conditions
from latency.measuring.source import Device, MeasurementError
from latency.runtimes.ssh_runner import RefusedError, processor, require_fixed
from search_spaces.errors import InputError
from search_spaces.spec import ArchSpec


class LiteRt:
    """Runs `.tflite` files at batch 1 on this machine's CPU.

    Args:
        threads: Threads of the interpreter; the papers use 1.

    Raises:
        InputError: Threads below 1, or litert-torch is not installed.
    """

    formats: tuple[Suffix, ...] = (".tflite",)

    def __init__(self, *, threads: int = 1) -> None:
        from search_spaces.exporting.litert_export import litert_module

        if threads < 1:
            raise InputError(f"threads must be at least 1, got {threads}")
        self.threads = threads
        self._interpreter = litert_module("ai_edge_litert.interpreter").Interpreter
        plural = "thread" if threads == 1 else "threads"
        name = f"{processor()}, {threads} {plural}, LiteRT {version('ai-edge-litert')} (XNNPACK)"
        digest = hashlib.sha256(f"litert|{name}|{platform.machine()}".encode()).hexdigest()[:12]
        self.device = Device(name, f"litert-{digest}", local=True)

    def export(self, spec: ArchSpec) -> bytes:
        """Export a network to a float `.tflite`."""
        from search_spaces.exporting.litert_export import to_tflite
        from search_spaces.network import build

        return to_tflite(build(spec))

    def load(self, model: bytes) -> LiteRtNetwork:
        """Load a file in an interpreter; its input is zero.

        Raises:
            MeasurementError: LiteRT rejects the file (the message is its own), or the file does not take
                one input of a fixed size.
        """
        try:
            interpreter = self._interpreter(model_content=model, num_threads=self.threads)
            require_fixed(interpreter.get_input_details())
            interpreter.allocate_tensors()
        except (ValueError, RuntimeError, RefusedError, MemoryError) as error:
            raise _refused(error) from error
        return LiteRtNetwork(interpreter, run_clock(threads=self.threads))

    def conditions(self) -> Conditions:
        """Return what Linux reports."""
        return linux_conditions()


class LiteRtNetwork:
    """A file loaded in LiteRT.

    Args:
        interpreter: Its interpreter, with tensors allocated.
        clock: Returns seconds.
    """

    def __init__(self, interpreter: Any, clock: Callable[[], float]) -> None:
        self._interpreter, self._clock = interpreter, clock

    def run(self, times: int) -> list[float]:
        """Run it `times` times; return milliseconds of each run."""
        try:
            return time_runs(self._interpreter.invoke, times, self._clock)
        except (ValueError, RuntimeError) as error:
            raise _refused(error) from error

    def close(self) -> None:
        """Do nothing: only memory is held."""


def _refused(error: BaseException) -> MeasurementError:
    return MeasurementError(f"LiteRT: {(str(error).strip().splitlines() or ['refused'])[0]}")
