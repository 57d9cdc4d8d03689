"""Another machine over ssh: a real sshd on loopback and a real runner."""

import fcntl
import sys
import threading
import time
from pathlib import Path

import pytest

from latency import Conditions, Measured, Timing, check_latency_source, open_device
from latency.runtimes.ssh import SshRuntime
from latency.runtimes.ssh_connection import Remote
from search_spaces import REFERENCES, InputError
from tests.latency import sshd as real

SMALL = REFERENCES["mobilenet_v3_small"](resolution=64)
LARGE = REFERENCES["mobilenet_v3_large"]()


def test_the_contract(board):
    timing = Timing(warmup_s=0.02, max_s=0.2, retries=0)
    check_latency_source(Measured(board(), timing=timing), SMALL, LARGE)


def test_the_device_describes_the_machine(board):
    device = board().device
    assert "(board), 1 thread, ONNX Runtime" in device.name
    assert not device.local
    assert board(threads=2).device.fingerprint != device.fingerprint


def test_opened_by_name(sshd, tmp_path, monkeypatch):
    monkeypatch.setenv("MOBILE_NAS_CACHE", str(tmp_path / "cache"))
    python = real.python(tmp_path / "board")
    typed = f"ssh:board,config={sshd.config()},python={python},runtime=onnxruntime,threads=2"
    source = open_device(typed)
    assert "2 threads, ONNX Runtime" in source.device.name
    source.runtime.close()
    with pytest.raises(InputError, match=r"connection to board ended: .*refused"):
        open_device(f"ssh:board,config={sshd.config('closed', port=1)}")


def test_nothing_is_left_behind(board, tmp_path):
    runtime = board()
    network = runtime.load(runtime.export(SMALL))
    assert len(network.run(3)) == 3
    network.close()
    (runner,) = real.runners(tmp_path)
    runtime.close()
    runner.wait(10)
    left = [path.name for path in (tmp_path / "board/tmp").rglob("*")]
    assert left == ["mobile-nas-measuring-this-machine.lock"]


@pytest.mark.parametrize("host", ["", "-oProxyCommand=x", "a b", "a;b", "$(x)", "a\n", "u@-ox"])
def test_invalid_hosts(host):
    with pytest.raises(InputError, match="is not valid"):
        SshRuntime(Remote(host))


def test_other_bad_input(tmp_path):
    with pytest.raises(InputError, match="threads must be at least 1, got 0"):
        SshRuntime(Remote("board", threads=0))
    with pytest.raises(InputError, match="there is no such file"):
        SshRuntime(Remote("board", config=tmp_path / "absent"))
    with pytest.raises(InputError, match="must be onnxruntime or litert, got 'tpu'"):
        SshRuntime(Remote("board", wanted=("tpu",)))


def test_no_name_runs_as_a_command(board, tmp_path):
    hit = tmp_path / "hit"
    odd = tmp_path / "it's a $(touch hit); touch hit #"
    odd.mkdir()
    (odd / "python3").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (odd / "python3").chmod(0o755)
    board(python=str(odd / "python3"))
    assert not hit.exists()
    assert not (Path.home() / "hit").exists()


def test_what_a_login_shell_prints_is_skipped(board, sshd):
    assert board(config=sshd.config("chatty", port=sshd.chatty_port)).device.name


def test_measurements_on_one_machine_are_exclusive(board, stub, tmp_path):
    network = board(python=stub()).load(b"model")
    lock = tmp_path / "stub/tmp/mobile-nas-measuring-this-machine.lock"
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        release = threading.Timer(0.7, lambda: fcntl.flock(file, fcntl.LOCK_UN))
        begin = time.monotonic()
        release.start()
        network.run(1)
        assert time.monotonic() - begin > 0.6
        release.join()


def test_litert_is_used_if_it_is_installed(board, tmp_path):
    modules = tmp_path / "modules"
    (modules / "ai_edge_litert").mkdir(parents=True)
    (modules / "onnxruntime.py").write_text("raise ImportError('not here')")
    (modules / "ai_edge_litert/__init__.py").write_text("__version__ = '9'")
    (modules / "ai_edge_litert/interpreter.py").write_text(
        "class Interpreter:\n"
        "    def __init__(self, model_content, num_threads): assert model_content == b'model'\n"
        "    def allocate_tensors(self): pass\n"
        "    def invoke(self): sum(range(1000))\n"
    )
    runtime = board(python=real.python(tmp_path / "litert", path=modules))
    assert "LiteRT 9" in runtime.device.name
    assert len(runtime.load(b"model").run(3)) == 3


def test_conditions(board):
    assert isinstance(board().conditions(), Conditions)
