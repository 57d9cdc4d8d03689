"""Latency on this machine's CPU, measured with ONNX Runtime on the exported graph."""

from __future__ import annotations

import hashlib
import platform
from pathlib import Path

import numpy as np
import onnxruntime as ort

from latency.measurer import Device, Latency, MeasurementError
from latency.statistics import Timing, sample, summarize
from search_spaces.spec import ArchSpec


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


class OnnxRuntimeCpu:
    """Latency at batch 1 on this machine's CPU.

    The graph carries random weights: on a CPU dense arithmetic takes the same time whatever the
    values, and batch norm is folded so that they stay in range.

    Args:
        threads: Intra-op threads; 1 is what the papers measure with.
        timing: How long to measure.
    """

    def __init__(self, *, threads: int = 1, timing: Timing | None = None) -> None:
        self.threads, self.timing = threads, timing or Timing()
        plural = "thread" if threads == 1 else "threads"
        name = f"{processor()}, {threads} {plural}, ONNX Runtime {ort.__version__} (cpu)"
        key = f"onnxruntime-cpu|{name}|{platform.machine()}"
        digest = hashlib.sha256(key.encode()).hexdigest()[:12]
        self.device = Device(name, f"cpu-{digest}", local=True)

    def latency(self, spec: ArchSpec) -> Latency:
        """Export, load and time one network.

        Raises:
            MeasurementError: The runtime refuses the graph; its message is passed on.
        """
        from search_spaces.network import build
        from search_spaces.onnx_export import to_onnx

        return self.latency_of_model(to_onnx(build(spec)))

    def latency_of_model(self, model: bytes) -> Latency:
        """Time a serialized ONNX model with one input; its free dimensions, such as the batch, are 1."""
        try:
            session = ort.InferenceSession(
                model, self._options(), providers=["CPUExecutionProvider"]
            )
            feed = _random_feed(session)
            blocks = sample(lambda: session.run(None, feed), self.timing)
        except Exception as error:
            if type(error).__module__.startswith("onnxruntime"):
                raise MeasurementError(f"ONNX Runtime: {_first_line(error)}") from error
            raise
        return summarize(blocks, self.device, self.timing)

    def _options(self) -> ort.SessionOptions:
        options = ort.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = 3
        return options


def _random_feed(session: ort.InferenceSession) -> dict[str, np.ndarray]:
    only = session.get_inputs()[0]
    shape = [side if isinstance(side, int) else 1 for side in only.shape]
    values = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    return {only.name: values}


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
