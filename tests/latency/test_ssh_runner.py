"""Parts of the remote runner that can be tested locally."""

import ast
import os
from pathlib import Path

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
