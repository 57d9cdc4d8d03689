"""This machine, with ONNX Runtime: on its CPU, or what else the installed one can use."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable
from pathlib import Path

import onnxruntime as ort

from latency.files.model_format import Suffix
from latency.measuring.device_lock import linux_conditions, run_clock, times_ms
from latency.measuring.runtime import Conditions
from latency.measuring.source import Device, MeasurementError
from latency.runtimes.ssh_runner import RefusedError, random_feed
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

    formats: tuple[Suffix, ...] = (".onnx",)

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
        """A session of a model that takes one image; a free batch is 1.

        Raises:
            MeasurementError: ONNX Runtime refuses the model; its message is passed on. Or the model takes
                something else than one image of a fixed size.
        """
        options = ort.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = 4  # what it complains about is raised as well
        providers = list(dict.fromkeys([self.provider, CPU]))
        try:
            # Its fallback would print to standard output, and measure another provider than was asked for.
            session = ort.InferenceSession(model, options, providers=providers, enable_fallback=0)
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
        try:
            self._feed = random_feed(session.get_inputs())
        except (RefusedError, MemoryError) as error:
            raise MeasurementError(str(error) or "no memory for the model's input") from error

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
    if isinstance(error, MemoryError):
        return MeasurementError("ONNX Runtime: no memory for this model at this size")
    theirs = type(error).__module__.startswith("onnxruntime")
    if theirs or isinstance(
        error, UnicodeDecodeError | RuntimeError
    ):  # of damaged names, and of C++
        return MeasurementError(
            f"ONNX Runtime: {(str(error).strip().splitlines() or ['refused'])[0]}"
        )
    return error
