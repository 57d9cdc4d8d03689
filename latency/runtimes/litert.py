"""This machine's CPU with LiteRT and XNNPACK: the kind of runtime that the papers measured with."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

from latency.files.model_format import Suffix
from latency.measuring.device_lock import linux_conditions, run_clock, times_ms
from latency.measuring.runtime import Conditions
from latency.measuring.source import Device, MeasurementError
from latency.runtimes.onnx_runtime import processor
from latency.runtimes.ssh_runner import RefusedError, require_fixed
from search_spaces.errors import InputError
from search_spaces.spec import ArchSpec


class LiteRt:
    """Runs `.tflite` files at batch 1 on this machine's CPU.

    Args:
        threads: Of the interpreter; 1 is what the papers measure with.

    Raises:
        InputError: Threads below 1, or litert-torch is not installed.
    """

    formats: tuple[Suffix, ...] = (".tflite",)

    def __init__(self, *, threads: int = 1) -> None:
        from search_spaces.litert_export import litert_module

        if threads < 1:
            raise InputError(f"threads must be at least 1, got {threads}")
        self.threads = threads
        self._interpreter = litert_module("ai_edge_litert.interpreter").Interpreter
        plural = "thread" if threads == 1 else "threads"
        name = f"{processor()}, {threads} {plural}, LiteRT {version('ai-edge-litert')} (XNNPACK)"
        digest = hashlib.sha256(f"litert|{name}|{platform.machine()}".encode()).hexdigest()[:12]
        self.device = Device(name, f"litert-{digest}", local=True)

    def export(self, spec: ArchSpec) -> bytes:
        """The network as a float `.tflite`."""
        from search_spaces.litert_export import to_tflite
        from search_spaces.network import build

        return to_tflite(build(spec))

    def load(self, model: bytes) -> LiteRtNetwork:
        """An interpreter of a file; its input is zero.

        Raises:
            MeasurementError: LiteRT refuses the file; its message is passed on. Or the file takes
                something else than one input of a fixed size.
        """
        try:
            interpreter = self._interpreter(model_content=model, num_threads=self.threads)
            require_fixed(interpreter.get_input_details())
            interpreter.allocate_tensors()
        except (ValueError, RuntimeError, RefusedError, MemoryError) as error:
            raise _refused(error) from error
        return LiteRtNetwork(interpreter, run_clock(threads=self.threads))

    def conditions(self) -> Conditions:
        """As Linux tells them."""
        return linux_conditions()


class LiteRtNetwork:
    """A file in LiteRT.

    Args:
        interpreter: Of the file, with its tensors allocated.
        clock: Seconds.
    """

    def __init__(self, interpreter: Any, clock: Callable[[], float]) -> None:
        self._interpreter, self._clock = interpreter, clock

    def run(self, times: int) -> list[float]:
        """Run it so many times; milliseconds of each."""
        try:
            return times_ms(self._interpreter.invoke, times, self._clock)
        except (ValueError, RuntimeError) as error:
            raise _refused(error) from error

    def close(self) -> None:
        """Nothing is held but memory."""


def _refused(error: BaseException) -> MeasurementError:
    return MeasurementError(f"LiteRT: {(str(error).strip().splitlines() or ['refused'])[0]}")
