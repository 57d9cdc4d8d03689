"""This machine with ONNX Runtime, on its CPU or another execution provider."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable

import onnxruntime as ort

from latency.files.model_format import Suffix
from latency.measuring.cpu import linux_conditions
from latency.measuring.run_clock import run_clock, time_runs
from latency.measuring.runtime import Conditions
from latency.measuring.source import Device, DeviceLostError, MeasurementError
from latency.runtimes.ssh_runner import RefusedError, processor, random_feed
from search_spaces.errors import InputError
from search_spaces.spec import ArchSpec

CPU = "CPUExecutionProvider"


class OnnxRuntime:
    """Runs ONNX graphs at batch 1 on this machine.

    The graphs have random weights: on a CPU dense arithmetic takes the same time for all values, and batch
    norm is folded so that activations stay in range.

    Args:
        threads: Intra-op threads; the papers use 1.
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
        """Export a network to a serialized ONNX model."""
        from search_spaces.exporting.onnx_export import to_onnx
        from search_spaces.network import build

        return to_onnx(build(spec))

    def load(self, model: bytes) -> OnnxSession:
        """Load a model that takes one image in a session; a free batch is 1.

        Raises:
            DeviceLostError: The provider's libraries or its hardware are missing.
            MeasurementError: ONNX Runtime rejects the model (the message is its own), or the model does not
                take one image of a fixed size.
        """
        options = ort.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = 4  # its complaints are raised as exceptions as well
        providers = list(dict.fromkeys([self.provider, CPU]))
        try:
            # Its fallback would print to standard output and measure another provider than requested.
            session = ort.InferenceSession(model, options, providers=providers, enable_fallback=0)
        except Exception as error:
            raise _refused(error) from error
        if session.get_providers()[0] != self.provider:
            raise DeviceLostError(
                f"ONNX Runtime could not start {self.provider} and would measure the CPU: install the "
                "libraries that it needs (https://onnxruntime.ai/docs/execution-providers), or give "
                "--device cpu"
            )
        # Accelerators work outside of any thread, so their time is not in a thread's clock.
        threads = self.threads if self.provider == CPU else 0
        return OnnxSession(session, run_clock(threads=threads))

    def conditions(self) -> Conditions:
        """Return what Linux reports."""
        return linux_conditions()


class OnnxSession:
    """A model loaded in ONNX Runtime, with a random input.

    Args:
        session: Its session.
        clock: Returns seconds.
    """

    def __init__(self, session: ort.InferenceSession, clock: Callable[[], float]) -> None:
        self._session, self._clock = session, clock
        try:
            self._feed = random_feed(session.get_inputs())
        except (RefusedError, MemoryError) as error:
            raise MeasurementError(str(error) or "no memory for the model's input") from error

    def run(self, times: int) -> list[float]:
        """Run it `times` times; return milliseconds of each run."""
        run, feed = self._session.run, self._feed
        try:
            return time_runs(lambda: run(None, feed), times, self._clock)
        except MeasurementError:
            raise
        except Exception as error:
            raise _refused(error) from error

    def close(self) -> None:
        """Do nothing: only memory is held."""


def _full_name(provider: str) -> str:
    """Return ONNX Runtime's name of a provider.

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
    """Convert an error of the runtime to ours; anything else is our own bug and stays."""
    if isinstance(error, MemoryError):
        return MeasurementError("ONNX Runtime: no memory for this model at this size")
    theirs = type(error).__module__.startswith("onnxruntime")
    # Damaged names raise UnicodeDecodeError; C++ exceptions become RuntimeError.
    if theirs or isinstance(error, UnicodeDecodeError | RuntimeError):
        return MeasurementError(
            f"ONNX Runtime: {(str(error).strip().splitlines() or ['refused'])[0]}"
        )
    return error
