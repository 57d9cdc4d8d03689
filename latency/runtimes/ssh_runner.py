"""The program that `ssh.py` sends to another machine, to load models and time them there.

It is self-contained and in one file, since its source is piped into a Python there: 3.7 or later, with
numpy and onnxruntime or ai-edge-litert. It reads requests from standard input, one JSON object per line,
`load` followed by the model's bytes, and answers each with a JSON object on standard output. Everything
stays in memory, and the program ends with its input, so a lost connection leaves nothing behind.
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
"""Time limit of starting: importing a runtime on a small board is slow."""
WAIT_S = 600.0
"""How long to wait for another measurement on this machine."""
IDLE_S = 2.0
"""Seconds without a run after which the machine is released to other measurements."""
CPUS = Path("/sys/devices/system/cpu")
PIXELS = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    **{f"tensor({kind})": kind for kind in ("uint8", "int8", "uint16", "int16", "int32", "int64")},
}
"""numpy's names of image types by ONNX Runtime's."""


class RefusedError(Exception):
    """A rejected request; the message is sent back."""


def open_onnx(model: bytes, threads: int) -> Callable[[], Any]:
    """Return a function that runs an ONNX model once on a random input."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 4  # its complaints are raised as exceptions as well
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    feed = random_feed(session.get_inputs())
    return lambda: session.run(None, feed)


def random_feed(inputs: Sequence[Any]) -> dict[str, Any]:
    """Return random values for the input of an ONNX model; a free batch is 1.

    Args:
        inputs: ONNX Runtime's descriptions.

    Raises:
        RefusedError: There is not exactly one input, its type is not one of images, or its size is free.
    """
    import numpy as np

    if len(inputs) != 1:
        raise RefusedError(
            f"the model has {len(inputs)} inputs: only networks that take one image can be run"
        )
    name, shape = inputs[0].name, list(inputs[0].shape)
    if any(not isinstance(side, int) or side < 1 for side in shape[1:]):
        raise RefusedError(f"the model's input {name!r} {shape} has a free size: fix it first")
    shape[:1] = [side if isinstance(side, int) and side > 0 else 1 for side in shape[:1]]
    kind = getattr(inputs[0], "type", "tensor(float)")
    dtype = PIXELS.get(kind)
    if dtype is None:
        raise RefusedError(f"the model's input {name!r} is {kind}, not an image type")
    random = np.random.default_rng(0)
    if np.issubdtype(dtype, np.integer):
        low, high = (-128, 128) if dtype == "int8" else (0, 256)
        return {name: random.integers(low, high, shape, dtype=dtype)}
    return {name: random.standard_normal(shape, dtype=np.float32).astype(dtype, copy=False)}


def open_litert(model: bytes, threads: int) -> Callable[[], Any]:
    """Return a function that runs a LiteRT model once on zeros."""
    module = importlib.import_module("ai_edge_litert.interpreter")
    interpreter = module.Interpreter(model_content=model, num_threads=threads)
    if hasattr(interpreter, "get_input_details"):  # test doubles have none
        require_fixed(interpreter.get_input_details())
    interpreter.allocate_tensors()
    invoke: Callable[[], Any] = interpreter.invoke
    return invoke


def require_fixed(inputs: Sequence[dict[str, Any]]) -> None:
    """Reject a LiteRT model whose input size is free: it would run at one pixel.

    Args:
        inputs: The interpreter's descriptions.

    Raises:
        RefusedError: The size is free, or there is not exactly one input.
    """
    if len(inputs) != 1:
        raise RefusedError(
            f"the model has {len(inputs)} inputs: only networks that take one image can be run"
        )
    signature = [int(side) for side in inputs[0].get("shape_signature", ())]
    if any(side < 1 for side in signature[1:]):
        raise RefusedError(f"the model's input {signature} has a free size: fix it first")


class MachineLock:
    """The lock among measurements on this machine, the same file as that of `nas` here.

    Args:
        send: Called repeatedly with a message while waiting.
    """

    def __init__(self, send: Callable[[dict[str, Any]], None]) -> None:
        self._send = send
        self._file: int | None = None

    def acquire(self) -> None:
        """Wait for the lock; do nothing if it is held."""
        if self._file is not None:
            return
        path = Path(tempfile.gettempdir()) / "mobile-nas-measuring-this-machine.lock"
        file, begin = _open_for_all(path), time.monotonic()
        while not _locked(file):
            if time.monotonic() - begin > WAIT_S:
                os.close(file)
                raise RefusedError(f"another measurement has run for {WAIT_S:g} s ({path})")
            self._send({"waiting": str(path)})
            time.sleep(0.2)
        self._file = file

    def release(self) -> None:
        """Release the lock."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _open_for_all(path: Path) -> int:
    # Linux forbids O_CREAT on another user's file in a shared folder, so try without it first.
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
        threads: Compute threads. A single one is pinned to a core and timed by its CPU time.
        send: Sends an answer.
    """

    def __init__(self, runtime: str, threads: int, send: Callable[[dict[str, Any]], None]) -> None:
        self._open = {"onnxruntime": open_onnx, "litert": open_litert}[runtime]
        self._threads, self._send = threads, send
        self._clock = time.thread_time if threads == 1 else time.perf_counter
        self._core = pin() if threads == 1 else 0
        self._models: dict[int, Callable[[], Any]] = {}
        self._mhz: float | None = None
        self.lock = MachineLock(send)

    def answer(self, request: dict[str, Any], data: bytes) -> None:
        """Answer a request within its time limit: a hanging runtime ends this process."""
        do = {"load": self._load, "run": self._run, "conditions": self._state, "close": self._close}
        signal.alarm(request["limit_s"])
        try:
            self._send(do[request["do"]](request, data))
        except RefusedError as refused:
            self._send({"refused": str(refused)})
        finally:
            signal.alarm(0)

    def _load(self, request: dict[str, Any], data: bytes) -> dict[str, Any]:
        if hashlib.sha256(data).hexdigest() != request["sha256"]:
            raise RefusedError("the model was damaged during transfer")
        try:
            self._models[request["model"]] = self._open(data, self._threads)
        except Exception as error:
            raise RefusedError(first_line(error)) from error
        return {}

    def _run(self, request: dict[str, Any], _: bytes) -> dict[str, Any]:
        signal.alarm(0)  # waiting for the lock does not count
        self.lock.acquire()
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
            raise RefusedError(first_line(error)) from error
        # Read immediately: an idle core clocks down.
        self._mhz = thousandth(CPUS / f"cpu{self._core}/cpufreq/scaling_cur_freq")
        return {"ms": taken}

    def _state(self, _: dict[str, Any], __: bytes) -> dict[str, Any]:
        return {"celsius": celsius(), "mhz": self._mhz, "throttled": throttled()}

    def _close(self, request: dict[str, Any], _: bytes) -> dict[str, Any]:
        self._models.pop(request["model"], None)
        return {}


def pin() -> int:
    """Pin this thread to the fastest core (the last of equal ones); return its number."""
    if not hasattr(os, "sched_setaffinity"):
        return 0

    def fastest(core: int) -> Any:
        return thousandth(CPUS / f"cpu{core}/cpufreq/cpuinfo_max_freq") or 0.0, core

    core = max(os.sched_getaffinity(0), key=fastest)
    os.sched_setaffinity(0, {core})
    return core


def celsius(root: Path = Path("/sys")) -> float | None:
    """Return the temperature of the hottest zone."""
    zones = [thousandth(path) for path in root.glob("class/thermal/thermal_zone*/temp")]
    return max([zone for zone in zones if zone is not None], default=None)


def throttled(root: Path = Path("/sys")) -> bool:
    """Whether a Raspberry Pi is throttled now, by heat or low voltage."""
    try:
        flags = (root / "devices/platform/soc/soc:firmware/get_throttled").read_text()
        return bool(int(flags, 16) & 0b1111)
    except (OSError, ValueError):
        return False


def thousandth(path: Path) -> float | None:
    """Read a number from sysfs and divide it by 1000: kHz to MHz, millidegrees to degrees."""
    try:
        return float(path.read_text()) / 1e3
    except (OSError, ValueError):
        return None


def processor(root: Path = Path("/")) -> str:
    """Return the name of the processor; without one, as on most ARM machines, of the board or the cores.

    >>> bool(processor())
    True
    """
    lines = [line.partition(":") for line in content(root / "proc/cpuinfo").splitlines()]
    facts = [(key.strip(), value.strip()) for key, _, value in lines]
    named = [value for key, value in facts if value and key.startswith(("model name", "Model"))]
    if named:
        return named[0]
    board = content(root / "proc/device-tree/model").strip("\0\n ")
    # Virtual machines share a name, whatever their processor.
    if board and board != "linux,dummy-virt":
        return board
    return arm_cores(facts, root) or platform.processor() or platform.machine()


def arm_cores(facts: Sequence[tuple[str, str]], root: Path) -> str:
    """Return implementer and part of each kind of ARM core, and the highest clock; empty without them.

    Args:
        facts: Keys and values of /proc/cpuinfo.
        root: The root folder.
    """
    makers = [value for key, value in facts if key == "CPU implementer"]
    parts = [value for key, value in facts if key == "CPU part"]
    kinds = dict.fromkeys(map("{}/{}".format, makers, parts))
    if not kinds:
        return ""
    files = root.glob("sys/devices/system/cpu/cpu[0-9]*/cpufreq/cpuinfo_max_freq")
    mhz = max([thousandth(file) or 0.0 for file in files], default=0.0)
    return f"ARM {'+'.join(kinds)}" + (f" at {mhz:g} MHz" if mhz else "")


def content(path: Path) -> str:
    """Return a file's text; empty if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def find_runtime(wanted: Sequence[str]) -> tuple[str, str]:
    """Return name and version of the first of the wanted runtimes that can be imported."""
    missing = []
    for name in wanted:
        module = {"onnxruntime": "onnxruntime", "litert": "ai_edge_litert.interpreter"}[name]
        try:
            importlib.import_module(module)
            package = sys.modules[module.split(".")[0]]
            return name, str(getattr(package, "__version__", "of unknown version"))
        except Exception as error:  # noqa: BLE001 - a broken installation may raise anything
            missing.append(f"{name}: {first_line(error)}")
    raise RefusedError(
        f"{sys.executable} (Python {platform.python_version()}) has no runtime ({'; '.join(missing)}): "
        "install onnxruntime or ai-edge-litert there"
    )


def first_line(error: BaseException) -> str:
    """Return the first line of an error."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def main(mark: str, wanted: Sequence[str], threads: int) -> None:
    """Answer requests until the input ends.

    Args:
        mark: Marks the start of our output, after that of a login shell.
        wanted: Runtimes in order of preference.
        threads: See `Runner`.
    """
    signal.alarm(START_S)
    given, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # keep the output of libraries out of the answers

    def send(answer: dict[str, Any]) -> None:
        answers.write(json.dumps(answer).encode() + b"\n")
        answers.flush()

    answers.write(mark.encode())
    # Telemetry would leave a file, and use the network while measuring.
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    try:
        runtime, version = find_runtime(wanted)
    except RefusedError as refused:
        send({"refused": str(refused)})
        return
    runner = Runner(runtime, threads, send)
    facts = {"processor": processor(), "machine": platform.machine()}
    send({**facts, "runtime": runtime, "version": version})
    signal.alarm(0)
    while True:
        # Requests wait for answers, so the next one is not in the buffer yet.
        if not select.select([given], [], [], IDLE_S)[0]:
            runner.lock.release()
            continue
        line = given.readline()
        if not line:
            return
        request = json.loads(line.decode())
        runner.answer(request, given.read(request.get("bytes", 0)))
