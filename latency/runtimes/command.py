"""A device behind the user's own program, which reads a model file and prints milliseconds."""

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
from latency.measuring.time_validation import validated_ms
from latency.runtimes.programs import run_program
from search_spaces.errors import InputError
from search_spaces.spec import ArchSpec

TIMEOUT_S = 120.0
"""Time limit of one call."""

GONE = 69
"""Exit status of the program when its device is lost: EX_UNAVAILABLE of sysexits.h."""

TIMING = Timing(warmup_s=0.0, block_s=0.0, block_runs=1, min_blocks=4, max_s=30.0)
"""Calls are expensive, and programs warm up themselves: few calls per block, none for warm-up."""

_MODEL = re.compile(r"\{model(\.onnx|\.tflite)?\}")
_LINE = re.compile(r"(\S+?)\s*(?:ms)?", re.IGNORECASE)


class CommandRuntime:
    """Calls a program with the path of a model file.

    The program prints milliseconds, one number per line, with or without `ms`: preferably one per run, or
    a single average. It is called until there are enough; `MOBILE_NAS_RUNS` holds the number still needed.
    The file is an ONNX model at batch 1, or a LiteRT one if the command line has `{model.tflite}`. Exit
    status 69 means that the device is lost; any other than 0, that it rejects this network.

    Args:
        line: The command line, split as by a shell, but run without one. The path of the file replaces
            `{model}`, or is appended.
        timeout_s: Time limit of one call in seconds.

    Raises:
        InputError: The line is empty or cannot be split, or the program does not exist.
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
        """Export a network to the format in the command line.

        Raises:
            InputError: The format needs an extra that is not installed.
        """
        return exported(spec, self.suffix)

    @property
    def formats(self) -> tuple[Suffix, ...]:
        """Suffixes of accepted files: any, unless the command line names one."""
        named = [found[1] for word in self.words for found in _MODEL.finditer(word) if found[1]]
        return (self.suffix,) if named else (".onnx", ".tflite")

    def load(self, model: bytes) -> CommandNetwork:
        """Write a model to a temporary file with the suffix of its format."""
        return CommandNetwork(self.words, model, timeout_s=self.timeout_s)

    def conditions(self) -> Conditions:
        """Return nothing: the program prints only times."""
        return Conditions()


class CommandNetwork:
    """A model in a temporary file.

    Args:
        words: Program and arguments, with `{model}` for the path.
        model: Content of the file.
        timeout_s: Time limit of one call in seconds.
    """

    def __init__(self, words: list[str], model: bytes, *, timeout_s: float) -> None:
        self.program, self.timeout_s = words[0], timeout_s
        self._folder = tempfile.TemporaryDirectory(prefix="mobile-nas-")
        path = Path(self._folder.name) / f"model{suffix_of(model)}"
        path.write_bytes(model)
        self._command = [_MODEL.sub(lambda _: str(path), word) for word in words]

    def run(self, times: int) -> list[float]:
        """Call the program until it has printed at least `times` times; return milliseconds.

        Raises:
            DeviceLostError: It reports a lost device, or cannot be started.
            MeasurementError: It fails, takes too long, or prints anything but milliseconds.
        """
        taken: list[float] = []
        while len(taken) < times:
            taken += self._call(times - len(taken))
        return taken

    def _call(self, runs: int) -> list[float]:
        environment = {"MOBILE_NAS_RUNS": str(runs)}
        output = run_program(self._command, timeout_s=self.timeout_s, environment=environment)
        if output.status != 0:
            kind = DeviceLostError if output.status == GONE else MeasurementError
            raise kind(f"{self.program} failed (exit status {output.status}): {output.complaint}")
        return printed_ms(output.stdout, program=self.program)

    def close(self) -> None:
        """Remove the file."""
        self._folder.cleanup()


def printed_ms(stdout: str, *, program: str) -> list[float]:
    r"""Parse the times that a program printed, one per line.

    >>> printed_ms("12.5\n12.25 ms\n", program="lab")
    [12.5, 12.25]

    Raises:
        MeasurementError: There are none, or a line is not a time.
    """
    times = []
    for line in filter(None, map(str.strip, stdout.splitlines())):
        found = _LINE.fullmatch(line)
        try:
            times.append(float(found[1] if found else line))
        except ValueError:
            raise MeasurementError(
                f"{program} printed {line[:80]!r} instead of a time in milliseconds"
            ) from None
    if not times:
        raise MeasurementError(f"{program} printed nothing: expected times in milliseconds")
    return validated_ms(times, source=program)


def _words(line: str) -> list[str]:
    """Split a command line; its first word must be an existing program."""
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise InputError(f"command {line!r} cannot be split into words: {error}") from error
    if not words:
        raise InputError("device command needs a program: give for instance command:./measure.sh")
    if shutil.which(words[0]) is None:
        raise InputError(
            f"command {words[0]!r}: not found, or not executable: give the path of a program"
        )
    return words


def _content(program: str) -> str:
    """Return a digest of the program: another version may measure differently."""
    found = shutil.which(program)
    assert found is not None
    return hashlib.sha256(Path(found).read_bytes()).hexdigest()
