"""A device behind the user's own program, which gets a model's file and prints milliseconds."""

from __future__ import annotations

import hashlib
import re
import shlex
import shutil
import tempfile
from pathlib import Path

from latency.files.model_format import Suffix, exported, suffix_of
from latency.measuring.runtime import Conditions
from latency.measuring.source import Device, DeviceLostError, MeasurementError
from latency.measuring.statistics import Timing
from latency.measuring.time_validation import plausible_ms
from latency.runtimes.programs import run_program
from search_spaces.errors import InputError
from search_spaces.spec import ArchSpec

TIMEOUT_S = 120.0
"""How long one call of the program may take."""

GONE = 69
"""Exit status by which the program says that its device is gone: EX_UNAVAILABLE of sysexits.h."""

TIMING = Timing(warmup_s=0.0, block_s=0.0, block_runs=1, min_blocks=4, max_s=30.0)
"""A call is dear, and a program warms up for itself: few calls a block, and none for warm-up alone."""

_MODEL = re.compile(r"\{model(\.onnx|\.tflite)?\}")
_LINE = re.compile(r"(\S+?)\s*(?:ms)?", re.IGNORECASE)


class CommandRuntime:
    """Calls a program with the path of a model's file.

    The program prints milliseconds, a number a line, `ms` after it or not: one number if it averages,
    better one for each run. It is called until there are as many as were asked for, which it is told in the
    variable `MOBILE_NAS_RUNS`. The file is an ONNX model at batch 1; with `{model.tflite}` in the command
    line, a LiteRT one. The exit status 69 says that the device is gone; any other than 0, that it refuses
    this network.

    Args:
        line: The command line. It is split as a shell would, but no shell runs it. The file's path takes
            the place of `{model}`, or is added at the end.
        timeout_s: How long one call may take, in seconds.

    Raises:
        InputError: The line is empty or cannot be split, or there is no such program.
    """

    def __init__(self, line: str, *, timeout_s: float = TIMEOUT_S) -> None:
        self.words, self.timeout_s = _words(line), timeout_s
        placeholders = [found[1] for word in self.words for found in _MODEL.finditer(word)]
        if not placeholders:
            self.words = [*self.words, "{model}"]
        self.suffix: Suffix = ".tflite" if ".tflite" in placeholders else ".onnx"
        key = f"command|{self.words}|{self.suffix}|{_content(self.words[0])}"
        digest = hashlib.sha256(key.encode()).hexdigest()[:12]
        self.device = Device(f"what {line} measures", f"command-{digest}")

    def export(self, spec: ArchSpec) -> bytes:
        """The network in the format that the command line asks for.

        Raises:
            InputError: The format needs an extra that is not installed.
        """
        return exported(spec, self.suffix)

    @property
    def formats(self) -> tuple[Suffix, ...]:
        """Suffixes of files that the program takes: any, unless the command line names one."""
        named = [found[1] for word in self.words for found in _MODEL.finditer(word) if found[1]]
        return (self.suffix,) if named else (".onnx", ".tflite")

    def load(self, model: bytes) -> CommandNetwork:
        """The model in a temporary file, with the suffix of its format."""
        return CommandNetwork(self.words, model, timeout_s=self.timeout_s)

    def conditions(self) -> Conditions:
        """The program tells nothing but times."""
        return Conditions()


class CommandNetwork:
    """A model in a temporary file.

    Args:
        words: Program and arguments, with `{model}` where the path goes.
        model: What the file holds.
        timeout_s: How long one call may take, in seconds.
    """

    def __init__(self, words: list[str], model: bytes, *, timeout_s: float) -> None:
        self.program, self.timeout_s = words[0], timeout_s
        self._folder = tempfile.TemporaryDirectory(prefix="mobile-nas-")
        path = Path(self._folder.name) / f"model{suffix_of(model)}"
        path.write_bytes(model)
        self._command = [_MODEL.sub(lambda _: str(path), word) for word in words]

    def run(self, times: int) -> list[float]:
        """Call the program until it has printed so many times, or more; milliseconds.

        Raises:
            DeviceLostError: It says that its device is gone, or cannot be started.
            MeasurementError: It fails, takes too long, or prints what is no time in milliseconds.
        """
        taken: list[float] = []
        while len(taken) < times:
            taken += self._call(times - len(taken))
        return taken

    def _call(self, runs: int) -> list[float]:
        told = {"MOBILE_NAS_RUNS": str(runs)}
        output = run_program(self._command, timeout_s=self.timeout_s, environment=told)
        if output.status != 0:
            kind = DeviceLostError if output.status == GONE else MeasurementError
            raise kind(f"{self.program} failed (exit status {output.status}): {output.complaint}")
        return printed_ms(output.stdout, program=self.program)

    def close(self) -> None:
        """Remove the file."""
        self._folder.cleanup()


def printed_ms(stdout: str, *, program: str) -> list[float]:
    r"""The times that a program has printed, a line each.

    >>> printed_ms("12.5\n12.25 ms\n", program="lab")
    [12.5, 12.25]

    Raises:
        MeasurementError: There are none, or a line is no time; shows it.
    """
    times = []
    for line in filter(None, map(str.strip, stdout.splitlines())):
        found = _LINE.fullmatch(line)
        try:
            times.append(float(found[1] if found else line))
        except ValueError:
            raise MeasurementError(
                f"{program} printed {line[:80]!r} where a time in milliseconds belongs"
            ) from None
    if not times:
        raise MeasurementError(f"{program} printed nothing: expected times in milliseconds")
    return plausible_ms(times, source=program)


def _words(line: str) -> list[str]:
    """A command line's words; the first is a program that is there."""
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise InputError(f"command {line!r} cannot be split into words: {error}") from error
    if not words:
        raise InputError("device command needs a program: give command:./measure.sh, say")
    if shutil.which(words[0]) is None:
        raise InputError(f"command {words[0]!r}: there is no such program, or it is not executable")
    return words


def _content(program: str) -> str:
    """A digest of the program, as another version of it may measure otherwise."""
    found = shutil.which(program)
    assert found is not None
    return hashlib.sha256(Path(found).read_bytes()).hexdigest()
