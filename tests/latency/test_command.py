"""The user's own program as a device."""

import os
import sys
import time
from pathlib import Path

import onnx
import psutil
import pytest

from latency import (
    Conditions,
    DeviceLostError,
    Measured,
    MeasurementError,
    Timing,
    check_latency_source,
)
from latency.runtimes.command import CommandRuntime
from latency.runtimes.programs import MOST_BYTES, TimedOutError, run_program
from search_spaces import REFERENCES, InputError

SMALL = REFERENCES["mobilenet_v3_small"](resolution=64)
LARGE = REFERENCES["mobilenet_v3_large"]()


@pytest.fixture
def script(tmp_path):
    """A scripted program."""

    def made(text, name="measure.sh"):
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return f"'{path}'"

    return made


def test_the_contract(script):
    # The file's size stands for the time.
    line = script("size=$(wc -c <$1); echo $((size / 1000)).$((size % 10)) ms")
    timing = Timing(warmup_s=0.0, block_s=0.0, block_runs=1, min_blocks=2, max_s=0.2, retries=0)
    check_latency_source(Measured(CommandRuntime(line), timing=timing), SMALL, LARGE)


def test_the_program_gets_a_model_that_is_removed(script, tmp_path):
    line = script(f'echo "$@" >{tmp_path}/given; cp "$2" {tmp_path}/copy; echo 1')
    runtime = CommandRuntime(f"{line} --flag")
    network = runtime.load(runtime.export(SMALL))
    assert network.run(1) == [1.0]
    flag, path = (tmp_path / "given").read_text().split()
    assert flag == "--flag"
    assert path.endswith("/model.onnx")
    onnx.checker.check_model(onnx.load(tmp_path / "copy"))
    network.close()
    assert not Path(path).parent.exists()


def test_placeholders(script, tmp_path):
    line = script(f'echo "$@" >{tmp_path}/given; echo 1')
    CommandRuntime(f"{line} --in={{model}} 'a b'").load(b"model").run(1)
    given = (tmp_path / "given").read_text()
    assert given.startswith("--in=/")
    assert given.endswith("/model.onnx a b\n")
    runtime = CommandRuntime(f"{line} {{model.tflite}}")
    assert runtime.suffix == ".tflite"
    runtime.load(b"\x1c\0\0\0TFL3").run(1)
    assert (tmp_path / "given").read_text().endswith("/model.tflite\n")


def test_called_until_there_are_enough_times(script, tmp_path):
    line = script(f'echo "$MOBILE_NAS_RUNS" >>{tmp_path}/told; echo 2.5; echo 2.25 ms')
    assert CommandRuntime(line).load(b"model").run(3) == [2.5, 2.25, 2.5, 2.25]
    assert (tmp_path / "told").read_text().split() == ["3", "1"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("echo broken >&2; exit 3", r"failed \(exit status 3\): broken"),
        ("exit 3", r"failed \(exit status 3\): exit status 3"),
        ("echo only this; exit 1", "failed .*: only this"),
        ("kill -9 $$", "exit status -9"),
        ("true", "printed nothing"),
        ("echo Segmentation fault", "printed 'Segmentation fault' instead of a time"),
        ("echo 1.0; echo 5 s", "printed '5 s' instead"),
        ("echo nan", "returned a time of nan ms"),
        ("echo inf", "returned a time of inf ms"),
        ("echo -1.5 ms", "returned a time of -1.5 ms"),
        ("echo 0", "returned a time of 0 ms"),
        ("printf '\\377\\001\\033[2J'", r"printed '.\\x01\\x1b\[2J' instead"),
    ],
)
def test_invalid_output(script, text, problem):
    with pytest.raises(MeasurementError, match=problem):
        CommandRuntime(script(text)).load(b"model").run(1)


def test_exit_status_of_a_lost_device(script, tmp_path):
    network = CommandRuntime(script("echo no board >&2; exit 69")).load(b"model")
    with pytest.raises(DeviceLostError, match=r"exit status 69\): no board"):
        network.run(1)
    (tmp_path / "measure.sh").unlink()
    with pytest.raises(DeviceLostError, match="cannot be started"):
        network.run(1)


def _ended(process):
    """Whether a process that was killed is gone, or only waits to be reaped; on a busy machine soon."""
    for _ in range(100):
        if not psutil.pid_exists(process) or psutil.Process(process).status() == "zombie":
            return True
        time.sleep(0.1)
    return False


def test_a_hanging_program_is_killed_with_its_children(script, tmp_path):
    line = script(f"sleep 60 & echo $! >{tmp_path}/child; wait")
    begin = time.monotonic()
    with pytest.raises(MeasurementError, match=r"was still running after 0.5 s and was killed"):
        CommandRuntime(line, timeout_s=0.5).load(b"model").run(1)
    assert time.monotonic() - begin < 10
    assert _ended(int((tmp_path / "child").read_text()))


def test_endless_output_is_killed():
    with pytest.raises(MeasurementError, match="printed over 1 MB"):
        run_program(["yes"], timeout_s=30)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("", "needs a program"),
        ("  ", "needs a program"),
        ("/absent/measure", "not found, or not executable"),
        ("sh 'x", "cannot be split into words: No closing quotation"),
    ],
)
def test_invalid_command_lines(line, problem):
    with pytest.raises(InputError, match=problem):
        CommandRuntime(line)


def test_no_shell_runs_the_line(script, tmp_path):
    line = script(f'echo "$@" >{tmp_path}/given; echo 1')
    CommandRuntime(f"{line} $(touch {tmp_path}/hit) ; touch {tmp_path}/hit").load(b"m").run(1)
    assert not (tmp_path / "hit").exists()
    assert (tmp_path / "given").read_text().startswith("$(touch")


def test_another_program_is_another_device(script):
    first = CommandRuntime(script("echo 1")).device
    assert first == CommandRuntime(script("echo 1")).device
    assert first.fingerprint != CommandRuntime(script("echo 2")).device.fingerprint
    assert first.fingerprint != CommandRuntime(script("echo 1") + " -v").device.fingerprint


def test_no_conditions(script):
    assert CommandRuntime(script("echo 1")).conditions() == Conditions()


def test_run_program():
    told = run_program(
        [sys.executable, "-c", "import os, sys; print(os.environ['X']); sys.exit('so')"],
        timeout_s=30,
        environment={"X": "1"},
    )
    assert (told.status, told.stdout, told.complaint) == (1, "1\n", "so")
    assert run_program(["cat"], timeout_s=10).status == 0  # it has no input to wait for
    with pytest.raises(MeasurementError, match="absent cannot be started: No such file"):
        run_program(["absent"], timeout_s=1)
    with pytest.raises(TimedOutError):
        run_program(["sleep", "9"], timeout_s=0.05)
    full = ["head", "-c", str(MOST_BYTES), "/dev/zero"]
    assert len(run_program(full, timeout_s=30).stdout) == MOST_BYTES
    assert os.environ.get("X") is None
