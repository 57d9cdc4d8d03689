"""Parts of the remote runner that can be tested locally."""

import ast
import os
import platform
from pathlib import Path

import pytest

from latency.runtimes import ssh_runner


def test_the_runner_reads_a_board(tmp_path):
    assert ssh_runner.celsius(tmp_path) is None
    assert not ssh_runner.throttled(tmp_path)
    zone = tmp_path / "class/thermal/thermal_zone0"
    zone.mkdir(parents=True)
    (zone / "temp").write_text("51500\n")
    firmware = tmp_path / "devices/platform/soc/soc:firmware"
    firmware.mkdir(parents=True)
    assert ssh_runner.celsius(tmp_path) == 51.5
    for flags, now in (("0", False), ("50000", False), ("50005", True)):
        (firmware / "get_throttled").write_text(flags + "\n")
        assert ssh_runner.throttled(tmp_path) is now


INTEL = "processor\t: 0\nmodel\t\t: 151\nmodel name\t: Intel(R) Core(TM) i7\n"
PI = "processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd08\n\nModel\t\t: Raspberry Pi 4 Model B\n"
CORE = "processor\t: {}\nCPU implementer\t: 0x41\nCPU variant\t: 0x2\nCPU part\t: {}\n\n"
BIG_LITTLE = CORE.format(0, "0xd05") + CORE.format(1, "0xd05") + CORE.format(2, "0xd0a")


@pytest.mark.parametrize(
    ("cpuinfo", "board", "khz", "name"),
    [
        (INTEL, None, "5000000", "Intel(R) Core(TM) i7"),
        (PI, "Raspberry Pi 4 Model B Rev 1.4\0", "1800000", "Raspberry Pi 4 Model B"),
        (BIG_LITTLE, "NVIDIA Jetson Orin Nano\0", "1510400", "NVIDIA Jetson Orin Nano"),
        (BIG_LITTLE, None, "2803200", "ARM 0x41/0xd05+0x41/0xd0a at 2803.2 MHz"),
        (BIG_LITTLE, "linux,dummy-virt\0", None, "ARM 0x41/0xd05+0x41/0xd0a"),
    ],
)
def test_the_processors_name(tmp_path, cpuinfo, board, khz, name):
    clock = "sys/devices/system/cpu/cpu1/cpufreq/cpuinfo_max_freq"
    files = {"proc/cpuinfo": cpuinfo, "proc/device-tree/model": board, clock: khz}
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        if text is not None:
            (tmp_path / path).write_text(text)
    assert ssh_runner.processor(tmp_path) == name


def test_a_nameless_processor_has_that_of_the_platform(tmp_path):
    assert ssh_runner.processor(tmp_path) == (platform.processor() or platform.machine())


def test_the_runner_is_valid_python_3_7():
    tree = ast.parse(Path(ssh_runner.__file__).read_text(), feature_version=(3, 7))
    assert any(isinstance(node, ast.FunctionDef) for node in tree.body)


def test_pinned_to_one_core():
    before = os.sched_getaffinity(0)
    try:
        assert os.sched_getaffinity(0) >= {ssh_runner.pin()}
        assert len(os.sched_getaffinity(0)) == 1
    finally:
        os.sched_setaffinity(0, before)
