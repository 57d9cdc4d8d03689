"""What `ssh.py` sends to another machine: loads models there and times them.

It stands alone: Python 3.7 or later, numpy, and onnxruntime or ai-edge-litert. Requests come on standard
input, a JSON object a line, `load` followed by the model's bytes; each is answered on standard output by a
JSON object on a line. All is kept in memory, and it ends with its input: a lost connection leaves nothing
behind.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import platform
import select
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

START_S = 120
"""Starting may take so long: importing a runtime on a small board."""
WAIT_S = 600.0
"""How long to wait for another measurement on this machine."""
IDLE_S = 2.0
"""Without a run for so long, another measurement may have its turn."""
CPUS = Path("/sys/devices/system/cpu")
PIXELS = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    **{f"tensor({kind})": kind for kind in ("uint8", "int8", "uint16", "int16", "int32", "int64")},
}
"""numpy's names of types that images may have, by ONNX Runtime's."""


class RefusedError(Exception):
    """A request that cannot be met; the message goes back."""


def open_onnx(model: bytes, threads: int) -> Callable[[], Any]:
    """What runs an ONNX model once, on a random input."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 4  # what it complains about is raised as well
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    feed = random_feed(session.get_inputs())
    return lambda: session.run(None, feed)


def random_feed(inputs: Sequence[Any]) -> dict[str, Any]:
    """Random values for the one input of an ONNX model; a free batch is 1.

    Args:
        inputs: As ONNX Runtime describes them.

    Raises:
        RefusedError: There is not one input, or it is of another type than images are, or its size is free.
    """
    import numpy as np

    if len(inputs) != 1:
        raise RefusedError(
            f"the model has {len(inputs)} inputs: networks that take one image are run"
        )
    name, shape = inputs[0].name, list(inputs[0].shape)
    if any(not isinstance(side, int) or side < 1 for side in shape[1:]):
        raise RefusedError(f"the model's input {name!r} {shape} leaves its size free: fix it first")
    shape[:1] = [side if isinstance(side, int) and side > 0 else 1 for side in shape[:1]]
    kind = getattr(inputs[0], "type", "tensor(float)")
    dtype = PIXELS.get(kind)
    if dtype is None:
        raise RefusedError(f"the model's input {name!r} is {kind}, which no image is")
    random = np.random.default_rng(0)
    if np.issubdtype(dtype, np.integer):
        low, high = (-128, 128) if dtype == "int8" else (0, 256)
        return {name: random.integers(low, high, shape, dtype=dtype)}
    return {name: random.standard_normal(shape, dtype=np.float32).astype(dtype, copy=False)}


def open_litert(model: bytes, threads: int) -> Callable[[], Any]:
    """What runs a LiteRT model once, on zeros."""
    module = importlib.import_module("ai_edge_litert.interpreter")
    interpreter = module.Interpreter(model_content=model, num_threads=threads)
    if hasattr(interpreter, "get_input_details"):  # stand-ins for a runtime need none
        require_fixed(interpreter.get_input_details())
    interpreter.allocate_tensors()
    invoke: Callable[[], Any] = interpreter.invoke
    return invoke


def require_fixed(inputs: Sequence[dict[str, Any]]) -> None:
    """Refuse a LiteRT model whose input leaves its size free: it would run at one pixel.

    Args:
        inputs: As its interpreter describes them.

    Raises:
        RefusedError: It does, or there is not one input.
    """
    if len(inputs) != 1:
        raise RefusedError(
            f"the model has {len(inputs)} inputs: networks that take one image are run"
        )
    signature = [int(side) for side in inputs[0].get("shape_signature", ())]
    if any(side < 1 for side in signature[1:]):
        raise RefusedError(f"the model's input {signature} leaves its size free: fix it first")


class Turn:
    """Holds the machine against other measurements on it: by the file that `nas` on this machine locks.

    Args:
        tell: Is told now and then that another has its turn.
    """

    def __init__(self, tell: Callable[[dict[str, Any]], None]) -> None:
        self._tell = tell
        self._file: int | None = None

    def take(self) -> None:
        """Wait for the others; nothing if it is ours already."""
        if self._file is not None:
            return
        path = Path(tempfile.gettempdir()) / "mobile-nas-measuring-this-machine.lock"
        file, begin = _open_for_all(path), time.monotonic()
        while not _locked(file):
            if time.monotonic() - begin > WAIT_S:
                os.close(file)
                raise RefusedError(f"another measurement has run for {WAIT_S:g} s ({path})")
            self._tell({"waiting": str(path)})
            time.sleep(0.2)
        self._file = file

    def give(self) -> None:
        """Let others have their turn."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _open_for_all(path: Path) -> int:
    # Linux forbids O_CREAT on another user's file in a shared folder, so it is tried without first.
    try:
        return os.open(str(path), os.O_RDWR)
    except FileNotFoundError:
        file = os.open(str(path), os.O_RDWR | os.O_CREAT, 0o666)
        os.fchmod(file, 0o666)
        return file


def _locked(file: int) -> bool:
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


class Runner:
    """Answers requests.

    Args:
        runtime: `onnxruntime` or `litert`.
        threads: That compute. One is kept on a core, and timed by how long it had it.
        tell: Sends an answer.
    """

    def __init__(self, runtime: str, threads: int, tell: Callable[[dict[str, Any]], None]) -> None:
        self._open = {"onnxruntime": open_onnx, "litert": open_litert}[runtime]
        self._threads, self._tell = threads, tell
        self._clock = time.thread_time if threads == 1 else time.perf_counter
        self._core = pin() if threads == 1 else 0
        self._models: dict[int, Callable[[], Any]] = {}
        self._mhz: float | None = None
        self.turn = Turn(tell)

    def answer(self, request: dict[str, Any], data: bytes) -> None:
        """Do what is asked, within its limit: a runtime that hangs ends with this process."""
        do = {"load": self._load, "run": self._run, "conditions": self._state, "close": self._close}
        signal.alarm(request["limit_s"])
        try:
            self._tell(do[request["do"]](request, data))
        except RefusedError as refused:
            self._tell({"refused": str(refused)})
        finally:
            signal.alarm(0)

    def _load(self, request: dict[str, Any], data: bytes) -> dict[str, Any]:
        if hashlib.sha256(data).hexdigest() != request["sha256"]:
            raise RefusedError("the model was damaged on its way")
        try:
            self._models[request["model"]] = self._open(data, self._threads)
        except Exception as error:
            raise RefusedError(said(error)) from error
        return {}

    def _run(self, request: dict[str, Any], _: bytes) -> dict[str, Any]:
        signal.alarm(0)  # waiting for the turn is not its own time
        self.turn.take()
        signal.alarm(request["limit_s"])
        run, clock = self._models[request["model"]], self._clock
        taken: list[float] = []
        try:
            while len(taken) < request["times"]:
                begin = clock()
                run()
                ms = (clock() - begin) * 1e3
                if ms > 0:  # a virtual machine's clock may stand still
                    taken.append(ms)
        except Exception as error:
            raise RefusedError(said(error)) from error
        # Read now: a core that waits for the next request clocks down.
        self._mhz = thousandth(CPUS / f"cpu{self._core}/cpufreq/scaling_cur_freq")
        return {"ms": taken}

    def _state(self, _: dict[str, Any], __: bytes) -> dict[str, Any]:
        return {"celsius": celsius(), "mhz": self._mhz, "throttled": throttled()}

    def _close(self, request: dict[str, Any], _: bytes) -> dict[str, Any]:
        self._models.pop(request["model"], None)
        return {}


def pin() -> int:
    """Keep to the fastest core, of equal ones the last; its number."""
    if not hasattr(os, "sched_setaffinity"):
        return 0

    def fastest(core: int) -> Any:
        return thousandth(CPUS / f"cpu{core}/cpufreq/cpuinfo_max_freq") or 0.0, core

    core = max(os.sched_getaffinity(0), key=fastest)
    os.sched_setaffinity(0, {core})
    return core


def celsius(root: Path = Path("/sys")) -> float | None:
    """Of the hottest zone."""
    zones = [thousandth(path) for path in root.glob("class/thermal/thermal_zone*/temp")]
    return max([zone for zone in zones if zone is not None], default=None)


def throttled(root: Path = Path("/sys")) -> bool:
    """Whether a Raspberry Pi holds its clock down now, for heat or for too low a voltage."""
    try:
        flags = (root / "devices/platform/soc/soc:firmware/get_throttled").read_text()
        return bool(int(flags, 16) & 0b1111)
    except (OSError, ValueError):
        return False


def thousandth(path: Path) -> float | None:
    """A number in a file of the system, over a thousand: kHz to MHz, thousandths to degrees."""
    try:
        return float(path.read_text()) / 1e3
    except (OSError, ValueError):
        return None


def processor() -> str:
    """The processor's or the board's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    named = [line.split(":", 1)[1] for line in lines if line.startswith(("model name", "Model"))]
    return named[0].strip() if named else platform.processor() or platform.machine()


def find_runtime(wanted: Sequence[str]) -> tuple[str, str]:
    """Name and version of the first of the wanted runtimes that is here."""
    lacks = []
    for name in wanted:
        module = {"onnxruntime": "onnxruntime", "litert": "ai_edge_litert.interpreter"}[name]
        try:
            importlib.import_module(module)
            package = sys.modules[module.split(".")[0]]
            return name, str(getattr(package, "__version__", "of unknown version"))
        except Exception as error:  # noqa: BLE001 - one that is there may be broken in any way
            lacks.append(f"{name}: {said(error)}")
    raise RefusedError(
        f"{sys.executable} (Python {platform.python_version()}) has no runtime ({'; '.join(lacks)}): "
        "install onnxruntime or ai-edge-litert there"
    )


def said(error: BaseException) -> str:
    """The first line of an error."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def main(mark: str, wanted: Sequence[str], threads: int) -> None:
    """Answer until the input ends.

    Args:
        mark: Where our output begins; what stands before it is a login shell's.
        wanted: Names of runtimes, the preferred one first.
        threads: As of `Runner`.
    """
    signal.alarm(START_S)
    given, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print must not stand between answers

    def tell(answer: dict[str, Any]) -> None:
        answers.write(json.dumps(answer).encode() + b"\n")
        answers.flush()

    answers.write(mark.encode())
    os.environ["ORT_DISABLE_TELEMETRY"] = (
        "1"  # it would leave a file, and use the network meanwhile
    )
    try:
        runtime, version = find_runtime(wanted)
    except RefusedError as refused:
        tell({"refused": str(refused)})
        return
    runner = Runner(runtime, threads, tell)
    facts = {"processor": processor(), "machine": platform.machine()}
    tell({**facts, "runtime": runtime, "version": version})
    signal.alarm(0)
    while True:
        # Requests wait for answers, so nothing of the next one is in the buffer yet.
        if not select.select([given], [], [], IDLE_S)[0]:
            runner.turn.give()
            continue
        line = given.readline()
        if not line:
            return
        request = json.loads(line.decode())
        runner.answer(request, given.read(request.get("bytes", 0)))
