"""An Android phone over adb, with TFLite's `benchmark_model`: one thread, on a big core."""

from __future__ import annotations

import contextlib
import hashlib
import re
import shlex
import tempfile
import uuid
import weakref
from dataclasses import dataclass
from itertools import count
from math import ceil
from pathlib import Path

from latency.files.model_format import Suffix, exported
from latency.measuring.runtime import Conditions
from latency.measuring.source import Device, MeasurementError
from latency.measuring.statistics import Timing
from latency.measuring.time_validation import validated_ms
from latency.runtimes.adb_phone import Phone
from latency.runtimes.benchmark_model import Benchmark, failure, parse_times_ms
from search_spaces.errors import InputError
from search_spaces.spec import ArchSpec

FOLDER = "/data/local/tmp"
"""Where adb may write and execute on a phone."""
PATIENCE_S = 30.0
"""Time limit of every request, beyond the expected duration of its work."""
REMOVE_S = 10.0
"""Time limit of removing a model; what a lost phone keeps is removed a day later."""
TIMING = Timing(warmup_s=1.0, block_s=0.4, max_s=20.0)
"""Longer than on this machine: each block is a process on the phone."""

_CPUS = "/sys/devices/system/cpu"
_OF_CORES = re.compile(r"cpu|soc|big|little|cluster|silver|gold|apc", re.IGNORECASE)

_FACTS = f"""
echo "model=$(getprop ro.product.manufacturer) $(getprop ro.product.model)"
echo "build=$(getprop ro.build.fingerprint)"
echo "serial=$(getprop ro.serialno)"
for c in {_CPUS}/cpu[0-9]*; do
  echo "core=${{c##*/cpu}} $(cat $c/cpufreq/cpuinfo_max_freq 2>/dev/null)"
done
find {FOLDER} -name 'mobile-nas-*.tflite' -mtime +0 -exec rm -f {{}} + 2>/dev/null; true
"""
_ZONES = """
for z in /sys/class/thermal/thermal_zone*; do
  echo "$(cat $z/temp 2>/dev/null) $(cat $z/type 2>/dev/null)"
done
"""


class AdbRuntime:
    """Runs `.tflite` files on a phone.

    Args:
        phone: The phone.
        benchmark: `benchmark_model`: a local file to push, or a path on the phone. By default it is looked
            for on the phone, in /data/local/tmp and on its PATH.
        patience_s: Time limit of every request in seconds, beyond the expected duration of its work.

    Raises:
        InputError: `benchmark_model` is not found.
        MeasurementError: The phone does not answer.
    """

    formats: tuple[Suffix, ...] = (".tflite",)

    def __init__(
        self, phone: Phone, *, benchmark: str | None = None, patience_s: float = PATIENCE_S
    ) -> None:
        self.phone, self.patience_s = phone, patience_s
        facts = Facts.of(self.script(_FACTS))
        program = self._pushed(benchmark) if benchmark else self._found()
        self.benchmark = Benchmark(program, facts.big_core)
        self.mhz: float | None = None
        self._names = (f"{FOLDER}/mobile-nas-{uuid.uuid4().hex[:8]}-{n}.tflite" for n in count())
        self.device = _device(facts, self._digest(program), serial=phone.serial)

    def export(self, spec: ArchSpec) -> bytes:
        """Export a network to `.tflite`.

        Raises:
            InputError: litert-torch is not installed.
        """
        return exported(spec, ".tflite")

    def load(self, model: bytes) -> AdbNetwork:
        """Push a model to the phone.

        Raises:
            MeasurementError: The phone does not answer, or has no room for it.
        """
        network = AdbNetwork(self, path := next(self._names))
        with tempfile.TemporaryDirectory(prefix="mobile-nas-") as folder:
            local = Path(folder) / "model.tflite"
            local.write_bytes(model)
            try:
                self.phone.with_retry(lambda: self.phone.push(local, path))
            except BaseException:
                network.close()  # it may have arrived in part
                raise
        return network

    def conditions(self) -> Conditions:
        """Return the hottest zone of the processor, and the core's frequency after the last run.

        Raises:
            MeasurementError: The phone does not answer.
        """
        return Conditions(hottest(self.script(_ZONES)), self.mhz)

    def script(self, script: str, *, timeout_s: float | None = None) -> str:
        """Run a script on the phone; return what it prints.

        Raises:
            MeasurementError: The phone does not answer, or the script fails.
        """
        limit_s = self.patience_s if timeout_s is None else timeout_s
        status, text = self.phone.with_retry(lambda: self.phone.shell(script, timeout_s=limit_s))
        if status != 0:
            raise MeasurementError(f"{self.phone.serial}: {failure(text)}")
        return text

    def _pushed(self, benchmark: str) -> str:
        local = Path(benchmark)
        if local.is_file():
            path = f"{FOLDER}/mobile-nas-benchmark_model"
            self.phone.with_retry(lambda: self.phone.push(local, path))
            self.script(f"chmod 755 {path}")
            return path
        if "yes" in self.script(f"test -x {shlex.quote(benchmark)} && echo yes; true"):
            return benchmark
        raise InputError(
            f"benchmark_model {benchmark!r} is neither a local file nor a program on the phone"
        )

    def _found(self) -> str:
        places = f"{FOLDER}/benchmark_model {FOLDER}/mobile-nas-benchmark_model"
        there = f"for p in {places}; do test -x $p && echo $p; done"
        found = self.script(f"{there}; command -v benchmark_model; true").split()
        if not found:
            raise InputError(
                f"phone {self.phone.serial} has no benchmark_model in {FOLDER}: give its file, as in "
                "adb:benchmark=./benchmark_model (TensorFlow's site has Android builds)"
            )
        return found[0]

    def _digest(self, program: str) -> str:
        quoted = shlex.quote(program)
        return self.script(f"md5sum {quoted} || ls -l {quoted}").split()[0]


class AdbNetwork:
    """A model's file on the phone; removed at the end of the process at the latest.

    Args:
        runtime: The phone's runtime.
        path: The file on the phone.
    """

    def __init__(self, runtime: AdbRuntime, path: str) -> None:
        self._runtime, self._path = runtime, path
        self._slowest_ms = 0.0
        self._remove = weakref.finalize(self, _remove, runtime.phone, path)

    def run(self, times: int) -> list[float]:
        """Run it `times` times in one call of `benchmark_model`.

        Returns:
            Milliseconds of the first run, and the mean of all others; no more is printed.

        Raises:
            MeasurementError: It cannot be run, or the phone does not answer.
        """
        runtime, core = self._runtime, self._runtime.benchmark.core
        limit_s = runtime.patience_s + 10 * times * self._slowest_ms / 1e3
        command = runtime.benchmark.command(self._path, times, limit_s=limit_s)
        # A hanging process would go on there even when adb here is killed.
        killer = f"$(command -v timeout >/dev/null && echo timeout {ceil(limit_s) + 5})"
        # Read immediately: an idle core clocks down.
        frequency = f"echo; echo kHz=$(cat {_CPUS}/cpu{core}/cpufreq/scaling_cur_freq 2>/dev/null)"
        # Another process removes models that are older than a day; this one is in use.
        touched = f"touch -c {self._path}"
        text = runtime.script(f"{touched}; {killer} {command}; {frequency}", timeout_s=limit_s)
        output, _, khz = text.rpartition("kHz=")
        taken = validated_ms(parse_times_ms(output, runs=times), source="benchmark_model")
        runtime.mhz = int(khz) / 1e3 if khz.strip().isdigit() else None
        self._slowest_ms = max(self._slowest_ms, *taken)
        return taken

    def close(self) -> None:
        """Remove the file; if that fails now, it is removed a day later."""
        self._remove()


def _remove(phone: Phone, path: str) -> None:
    """Remove a file from the phone if it answers in time."""
    with contextlib.suppress(MeasurementError):
        phone.shell(f"rm -f {path}", timeout_s=REMOVE_S)


@dataclass(frozen=True)
class Facts:
    """Facts about a phone.

    Attributes:
        model: Maker and model.
        build: Android's build.
        serial: Serial number.
        big_core: The core with the highest clock; the last of equal ones.
    """

    model: str
    build: str
    serial: str
    big_core: int

    @classmethod
    def of(cls, printed: str) -> Facts:
        r"""Parse `key=value` lines.

        >>> Facts.of("model=Google Pixel\nbuild=b\nserial=s\ncore=0 1600000\ncore=1 2200000")
        Facts(model='Google Pixel', build='b', serial='s', big_core=1)
        """
        lines = [line.strip().partition("=") for line in printed.splitlines()]
        facts = {key: value.strip() for key, _, value in lines}
        cores = [value.split() for key, _, value in lines if key == "core"]
        clocks = {int(core): int(*clock or ["0"]) for core, *clock in cores}
        big = max(clocks, key=lambda core: (clocks[core], core), default=0)
        return cls(facts.get("model", ""), facts.get("build", ""), facts.get("serial", ""), big)


def hottest(zones: str) -> float | None:
    r"""Return the temperature of the processor's hottest zone; phones report several units.

    >>> hottest("31000 battery\n52300 cpu-1-0-usr\n48 soc\n-273000 cpu-off\n99999999 cpu-odd")
    52.3
    """
    found = []
    for line in zones.splitlines():
        value, _, kind = line.strip().partition(" ")
        if not re.fullmatch(r"\d+", value) or not _OF_CORES.search(kind):
            continue
        degrees = float(value) / (1000 if len(value) > 3 else 10 if len(value) == 3 else 1)
        if 1 <= degrees <= 130:
            found.append(degrees)
    return max(found, default=None)


def _device(facts: Facts, program: str, *, serial: str) -> Device:
    name = f"{facts.model or serial}, 1 thread on core {facts.big_core}, benchmark_model"
    make = f"{facts.build}|{program}"
    known = f"adb|{name}|{facts.serial or serial}|{make}"
    return Device(name, _digest(known), make=_digest(f"adb|{name}|{make}"))


def _digest(key: str) -> str:
    return f"adb-{hashlib.sha256(key.encode()).hexdigest()[:12]}"
