"""Failures of another machine over ssh end in a clear error or a retry, within time limits."""

import threading
import time

import onnx
import onnx.helper
import pytest

from latency import DeviceLostError, MeasurementError
from latency.runtimes.ssh import SshRuntime
from latency.runtimes.ssh_connection import Connection, Remote
from tests.latency import sshd as real


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"known": "unknown"}, "Host key verification failed"),
        ({"key": "stranger"}, r"Permission denied \(publickey,password"),
        ({"port": 1}, "port 1: Connection refused"),
    ],
)
def test_ssh_errors_are_shown(board, sshd, options, problem):
    with pytest.raises(MeasurementError, match=problem):
        board(config=sshd.config("other", **options))


def test_an_unknown_host():
    with pytest.raises(MeasurementError, match=r"connection to nowhere\.invalid ended: .*resolve"):
        SshRuntime(Remote("nowhere.invalid"))


def test_no_remote_python(board):
    with pytest.raises(MeasurementError, match=r"/absent/python3: (not found|No such)"):
        board(python="/absent/python3")


def test_no_remote_runtime(board, tmp_path):
    modules = tmp_path / "modules"
    modules.mkdir()
    for name in ("onnxruntime", "ai_edge_litert"):
        (modules / f"{name}.py").write_text("raise ImportError('not here')")
    with pytest.raises(
        MeasurementError, match=r"has no runtime .*install onnxruntime or ai-edge-litert"
    ):
        board(python=real.python(tmp_path / "bare", path=modules))


def test_a_dropped_connection_is_opened_again(board, sshd, stub):
    network = board(python=stub()).load(b"model")
    network.run(1)
    sshd.drop()
    assert len(network.run(2)) == 2
    cut = threading.Timer(0.3, sshd.drop)
    cut.start()
    assert len(network.run(40)) == 40  # takes 0.8 s
    cut.join()


def test_a_machine_that_stays_lost(board, sshd, stub):
    config = sshd.config("leaving")
    network = board(python=stub(), config=config).load(b"model")
    sshd.config("leaving", port=1)
    sshd.drop()
    with pytest.raises(DeviceLostError, match="port 1: Connection refused"):
        network.run(1)
    sshd.config("leaving")
    assert len(network.run(1)) == 1  # the next measurement tries again


def test_a_changed_machine(board, sshd, stub):
    network = board(python=stub()).load(b"model")
    stub(version="0.2")
    sshd.drop()
    with pytest.raises(DeviceLostError, match=r"board has changed: .*'0\.2'.*'0\.1'"):
        network.run(1)


def test_a_crash_is_retried_once(board, stub, tmp_path):
    once = (
        f"p = pathlib.Path({str(tmp_path / 'crashed')!r}); p.exists() or (p.touch(), os._exit(9))"
    )
    assert len(board(python=stub(once)).load(b"model").run(2)) == 2
    always = stub("sys.stderr.write('double free\\n'); sys.stderr.flush(); os._exit(3)")
    network = board(python=always).load(b"model")
    with pytest.raises(MeasurementError, match="connection to board ended: double free") as caught:
        network.run(2)
    assert not isinstance(
        caught.value, DeviceLostError
    )  # the machine is well: others may run there


def test_a_hanging_runner_is_killed(board, stub, tmp_path):
    network = board(python=stub("time.sleep(60)"), patience_s=1.0).load(b"model")
    begin = time.monotonic()
    with pytest.raises(MeasurementError, match=r"did not answer within 1 s \(run\)"):
        network.run(1)
    assert time.monotonic() - begin < 20
    for runner in real.runners(tmp_path):
        runner.wait(10)


def test_hanging_at_start(board, tmp_path):
    with pytest.raises(MeasurementError, match=r"did not answer within 1 s \(starting\)"):
        board(python=real.python(tmp_path / "slow", before="sleep 5"), start_s=1.0)


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ('{"ms": [NaN]}', "board returned a time of nan ms"),
        ('{"ms": [-1.5]}', "board returned a time of -1.5 ms"),
        ('{"ms": [0]}', "board returned a time of 0 ms"),
        ('{"ms": ["fast"]}', "returned 'fast' instead of a time"),
        ('{"ms": [1.0, 2.0]}', "sent 2 times of 1"),
        ("{}", "sent 0 times of 1"),
        ("Segmentation fault", "sent 'Segmentation fault' instead of an answer"),
        ("[]", "sent '\\[\\]' instead of an answer"),
    ],
)
def test_invalid_answers(board, impostor, answer, problem):
    network = board(python=impostor(answer, answer)).load(b"model")
    with pytest.raises(MeasurementError, match=problem):
        network.run(1)


def test_an_unknown_operator_is_named(board):
    value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
    done = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1])
    node = onnx.helper.make_node("Frobnicate", ["x"], ["y"])
    graph = onnx.helper.make_graph([node], "graph", [value], [done])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)])
    with pytest.raises(MeasurementError, match=r"board: .*Frobnicate"):
        board().load(model.SerializeToString())


def test_a_late_answer_is_not_taken_for_the_next(board, stub, monkeypatch):
    network = board(python=stub()).load(b"model")

    def interrupted(_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Connection, "_line", interrupted)
        with pytest.raises(KeyboardInterrupt):
            network.run(3)
    assert len(network.run(2)) == 2
