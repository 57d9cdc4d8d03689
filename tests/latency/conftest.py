"""Fixtures for `latency.runtimes.ssh`: another machine, on loopback."""

import json
import sys

import pytest

from latency.runtimes.ssh import SshRuntime
from latency.runtimes.ssh_connection import MARK, Remote
from tests.latency import sshd as real


@pytest.fixture(scope="session")
def sshd(tmp_path_factory):
    """A real sshd, or the reason why there is none."""
    if real.MISSING:
        pytest.skip(real.MISSING)
    server = real.Sshd(tmp_path_factory.mktemp("sshd"))
    yield server
    server.close()


@pytest.fixture
def board(sshd, tmp_path):
    """Opens a runtime on the other machine, and closes it."""
    opened = []

    def connect(*, patience_s=30.0, config=None, **options):
        options.setdefault("python", real.python(tmp_path / "board"))
        remote = Remote("board", config=config or sshd.config(), **options)
        opened.append(SshRuntime(remote, patience_s=patience_s, pause_s=0.0))
        return opened[-1]

    yield connect
    for runtime in opened:
        runtime.close()


STUB = """
import os, pathlib, sys, time
__version__ = "0.1"
class ExecutionMode: ORT_SEQUENTIAL = 0
class SessionOptions: pass
class Input: name, shape = "x", [1, 3]
class InferenceSession:
    def __init__(self, model, options, providers):
        self.do = model.decode()
    def get_inputs(self): return [Input]
    def run(self, *_):
        {run}
"""


@pytest.fixture
def stub(tmp_path):
    """A Python with a scripted ONNX Runtime."""

    def made(run="time.sleep(0.02)", *, version="0.1"):
        modules = tmp_path / "modules"
        modules.mkdir(exist_ok=True)
        (modules / "onnxruntime.py").write_text(STUB.replace("{run}", run).replace("0.1", version))
        return real.python(tmp_path / "stub", path=modules)

    return made


@pytest.fixture
def impostor(tmp_path):
    """A fake Python that answers each request with a given line."""

    def made(*answers):
        facts = {"processor": "p", "machine": "m", "runtime": "onnxruntime", "version": "1"}
        (tmp_path / "answers.py").write_text(
            "import sys, json\n"
            "stdin = sys.stdin.buffer\n"
            "stdin.read(int(stdin.readline()))\n"
            f"print({MARK + json.dumps(facts)!r}, flush=True)\n"
            f"for answer in {['{}', *answers]!r}:\n"
            "    stdin.read(json.loads(stdin.readline())['bytes'])\n"
            "    print(answer, flush=True)\n"
        )
        return real.python(
            tmp_path / "impostor", program=f"{sys.executable} {tmp_path / 'answers.py'} #"
        )

    return made
