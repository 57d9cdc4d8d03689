"""This machine, with ONNX Runtime: on its CPU, or what else the installed one can use."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime as ort

from latency.measurer import Device, MeasurementError
from latency.quiet import linux_conditions, run_clock, times_ms
from latency.runtime import Conditions
from search_spaces.errors import InputError
from search_spaces.spec import ArchSpec

CPU = "CPUExecutionProvider"


def processor() -> str:
    """The processor's name as the system tells it.

    >>> bool(processor())
    True
    """
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith(("model name", "Model")):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


class OnnxRuntime:
    """Runs ONNX graphs at batch 1 on this machine.

    The graphs carry random weights: on a CPU dense arithmetic takes the same time whatever the
    values, and batch norm is folded so that they stay in range.

    Args:
        threads: Intra-op threads; 1 is what the papers measure with.
        provider: Execution provider by its short name: `cpu`, `cuda`, `coreml`, `xnnpack`, ...

    Raises:
        InputError: Threads below 1, or a provider that the installed ONNX Runtime lacks.
    """

    def __init__(self, *, threads: int = 1, provider: str = "cpu") -> None:
        if threads < 1:
            raise InputError(f"threads must be at least 1, got {threads}")
        self.threads, self.provider = threads, _full_name(provider)
        plural = "thread" if threads == 1 else "threads"
        name = f"{processor()}, {threads} {plural}, ONNX Runtime {ort.__version__} ({provider})"
        key = f"onnxruntime-{provider}|{name}|{platform.machine()}"
        digest = hashlib.sha256(key.encode()).hexdigest()[:12]
        self.device = Device(name, f"{provider}-{digest}", local=True)

    def export(self, spec: ArchSpec) -> bytes:
        """The network as a serialized ONNX model."""
        from search_spaces.network import build
        from search_spaces.onnx_export import to_onnx

        return to_onnx(build(spec))

    def load(self, model: bytes) -> OnnxSession:
        """A session of a model with one input; its free dimensions, such as the batch, are 1.

        Raises:
            MeasurementError: ONNX Runtime refuses the model; its message is passed on.
        """
        options = ort.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = 3
        providers = list(dict.fromkeys([self.provider, CPU]))
        try:
            session = ort.InferenceSession(model, options, providers=providers)
        except Exception as error:
            raise _refused(error) from error
        alone = (
            self.threads if self.provider == CPU else 0
        )  # accelerators work outside of any thread
        return OnnxSession(session, run_clock(threads=alone))

    def conditions(self) -> Conditions:
        """As Linux tells them."""
        return linux_conditions()


class OnnxSession:
    """A model in ONNX Runtime, with a random input.

    Args:
        session: Of the model.
        clock: Seconds.
    """

    def __init__(self, session: ort.InferenceSession, clock: Callable[[], float]) -> None:
        self._session, self._clock = session, clock
        only = session.get_inputs()[0]
        shape = [side if isinstance(side, int) else 1 for side in only.shape]
        values = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
        self._feed = {only.name: values}

    def run(self, times: int) -> list[float]:
        """Run it so many times; milliseconds of each."""
        run, feed = self._session.run, self._feed
        try:
            return times_ms(lambda: run(None, feed), times, self._clock)
        except MeasurementError:
            raise
        except Exception as error:
            raise _refused(error) from error

    def close(self) -> None:
        """Nothing is held but memory."""


def _full_name(provider: str) -> str:
    """ONNX Runtime's name of a provider.

    >>> _full_name("cpu")
    'CPUExecutionProvider'
    """
    known: dict[str, str] = {
        name.removesuffix("ExecutionProvider").lower(): name
        for name in ort.get_available_providers()
    }
    if provider not in known:
        raise InputError(
            f"the installed ONNX Runtime has no provider {provider!r}: it has {', '.join(sorted(known))}"
        )
    return known[provider]


def _refused(error: Exception) -> Exception:
    """The runtime's refusal as ours; anything else is a mistake of our own and stays."""
    if type(error).__module__.startswith("onnxruntime"):
        return MeasurementError(f"ONNX Runtime: {str(error).strip().splitlines()[0]}")
    return error
