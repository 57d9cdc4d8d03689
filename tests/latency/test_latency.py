import errno
import json
import math
from dataclasses import replace

import numpy as np
import onnxruntime
import pytest

from latency import (
    Cached,
    Device,
    DeviceLostError,
    Latency,
    MeasurementError,
    check_latency_source,
    open_device,
)
from latency.measuring.anchor import AnchorRecord
from latency.measuring.measured import Measured
from latency.measuring.statistics import Timing, bootstrap_ci95, drift, ratio, summarize
from latency.runtimes.onnx_runtime import OnnxRuntime
from search_spaces import REFERENCES, InputError, count
from tests.latency.model_files import onnx_model

SMALL = REFERENCES["mobilenet_v3_small"](resolution=64)
LARGE = REFERENCES["mobilenet_v3_large"](resolution=224)
LAB = Device("lab", "lab-1")


def test_contract_of_every_source(tmp_path):
    cpu = Measured(OnnxRuntime(), timing=Timing(warmup_s=0.01, max_s=0.2, retries=0))
    for source in (open_device("madds:5"), cpu, Cached(cpu, tmp_path)):
        check_latency_source(source, SMALL, LARGE)


def test_madds_is_a_labelled_estimate():
    reading = open_device("madds:4").latency(LARGE)
    assert reading.median_ms == pytest.approx(count(LARGE).madds / 4e9 * 1e3)
    assert reading.estimate
    assert "estimate" in reading.device
    assert reading.samples == 0


def test_latency_is_the_median_of_block_medians():
    blocks = [[1.0, 2.0, 90.0], [3.0, 3.0, 3.0], [2.0, 4.0, 6.0]]
    reading = summarize(blocks, LAB)
    assert reading.median_ms == 3.0
    assert reading.min_ms == 1.0
    assert reading.samples == 9
    assert reading.p90_ms == pytest.approx(np.percentile([1, 2, 90, 3, 3, 3, 2, 4, 6], 90))


def test_a_wide_spread_is_flagged():
    steady = [[1.0, 1.0]] * 10
    wild = [[1.0, 1.0]] * 5 + [[2.0, 2.0]] * 5
    assert summarize(steady, LAB).stable
    assert not summarize(wild, LAB).stable


def test_a_constantly_busy_machine_is_unstable():
    # Nearly every block is slowed alike; only the fastest runs reveal it.
    slowed = [[2.0, 2.0, 2.0]] * 10
    assert summarize(slowed, LAB).stable
    assert not summarize([[1.0, 2.0, 2.0], *slowed], LAB).stable


def test_a_reading_names_its_disturbances():
    rising = [[1.0 + k / 50] * 3 for k in range(12)]
    reading = summarize(rising, LAB)
    assert not reading.stable
    assert reading.problems == ("drifted by +14% while measured",)
    assert summarize([[1.0] * 3] * 8, LAB, problems=["somebody sneezed"]).problems == (
        "somebody sneezed",
    )


def test_noise_is_not_drift():
    rng = np.random.default_rng(0)
    seen = sum(drift(1.0 + 0.2 * rng.random(12)) != 0 for _ in range(500))
    assert seen <= 15  # a 99% interval, and some


def test_common_disturbances_cancel_in_a_ratio():
    rng = np.random.default_rng(1)
    disturbance = rng.uniform(1.0, 3.0, 20)
    slow = [[3.0 * d * rng.uniform(0.99, 1.01) for _ in range(5)] for d in disturbance]
    fast = [[2.0 * d * rng.uniform(0.99, 1.01) for _ in range(5)] for d in disturbance]
    found = ratio(slow, fast)
    assert found.value == pytest.approx(1.5, rel=0.01)
    assert found.ci95[0] <= 1.5 <= found.ci95[1]
    assert found.differs
    assert not ratio(fast, fast).differs


def test_coverage_of_the_interval():
    rng = np.random.default_rng(1)
    covered = 0
    for trial in range(200):
        values = rng.normal(10.0, 1.0, size=25)
        low, high = bootstrap_ci95(values, seed=trial)
        covered += low <= 10.0 <= high
    assert 0.90 <= covered / 200 <= 0.99


def test_a_rejected_model_is_a_measurement_error():
    with pytest.raises(MeasurementError, match="ONNX Runtime"):
        OnnxRuntime().load(b"not a model")


def test_a_provider_that_cannot_start_is_not_replaced_by_the_cpu(monkeypatch):
    session = onnxruntime.InferenceSession

    def without_libraries(model, options, *, providers, **_):
        return session(model, options, providers=providers[-1:])

    known = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: known)
    monkeypatch.setattr(onnxruntime, "InferenceSession", without_libraries)
    model = onnx_model().SerializeToString()
    missing = (
        "could not start CUDAExecutionProvider and would measure the CPU: install the libraries"
    )
    with pytest.raises(DeviceLostError, match=missing):
        OnnxRuntime(provider="cuda").load(model)
    OnnxRuntime(provider="cpu").load(model)


class Counting:
    device = LAB

    def __init__(self, *, stable=True):
        self.asked, self.stable = 0, stable

    def latency(self, spec):
        self.asked += 1
        return replace(Latency.exactly(5.0, LAB), stable=self.stable, samples=3)


def test_readings_are_cached_by_network_and_device(tmp_path):
    source = Counting()
    first = Cached(source, tmp_path).latency(SMALL)
    assert Cached(source, tmp_path).latency(SMALL) == first
    assert source.asked == 1
    Cached(source, tmp_path).latency(LARGE)
    assert source.asked == 2
    other = Counting()
    other.device = Device("lab", "lab-2")
    Cached(other, tmp_path).latency(SMALL)
    assert other.asked == 1


def test_an_unwritable_cache_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    source = Cached(open_device("madds:1"), tmp_path / "file" / "latency")
    with pytest.raises(
        InputError, match=r"Not a directory: latencies cannot be stored there; .*MOBILE"
    ):
        source.latency(SMALL)
    with pytest.raises(InputError, match="set MOBILE_NAS_CACHE"):
        AnchorRecord(tmp_path / "file" / "anchors").update("lab", 1.0)


def test_a_full_disk_leaves_no_file(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(json, "dump", full)
    with pytest.raises(InputError, match="No space left on device: latencies cannot be stored"):
        Cached(open_device("madds:1"), tmp_path).latency(SMALL)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_unstable_readings_are_not_cached(tmp_path):
    source = Counting(stable=False)
    for _ in range(2):
        Cached(source, tmp_path).latency(SMALL)
    assert source.asked == 2


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"median_ms": 1}', "null"])
def test_a_damaged_reading_is_measured_again(tmp_path, damage):
    source = Counting()
    Cached(source, tmp_path).latency(SMALL)
    (kept,) = tmp_path.rglob("*.json")
    kept.write_text(damage)
    Cached(source, tmp_path).latency(SMALL)
    assert source.asked == 2
    assert json.loads(kept.read_text())["median_ms"] == 5.0


@pytest.mark.parametrize(
    ("device", "message"),
    [
        ("toaster", "unknown device 'toaster': known are cpu, .*pixel1, pixel2"),
        ("madds", "needs a rate"),
        ("madds:fast", "needs a rate in G MAdds/s, got 'fast'"),
        ("madds:0", "must be above 0, got 0"),
        ("madds:-1", "must be above 0"),
        ("madds:nan", "must be above 0"),
        ("madds:inf", "must be above 0"),
        ("cpu:9", "does not take '9': give options as cpu:threads=1, provider=cpu"),
        ("cpu:threads=0", "threads must be at least 1, got 0"),
        ("cpu:threads=x", "expected a whole number"),
        ("cpu:provider=tpu", "has no provider 'tpu': it has "),
        ("", "unknown device"),
        ("ssh", "ssh host '' is not valid"),
        ("ssh:-oProxyCommand=x", "is not valid"),
        (
            "ssh:pi,port=22",
            "device ssh does not take 'port=22': give options as ssh:pi,python=python3",
        ),
        ("ssh:pi,threads=0", "threads must be at least 1"),
        ("ssh:pi,runtime=tpu", "must be onnxruntime or litert, got 'tpu'"),
        ("adb:R58M,threads=4", "device adb does not take 'threads=4'"),
        ("command", "needs a program"),
        ("command:/absent/program --flag", "not found, or not executable"),
    ],
)
def test_bad_devices(device, message):
    with pytest.raises(InputError, match=message):
        open_device(device)


def test_plug_in_devices(tmp_path, monkeypatch):
    (tmp_path / "toaster.py").write_text(
        "from latency import Device, Latency\n"
        "class Toaster:\n"
        "    def __init__(self, argument):\n"
        "        self.device = Device('toaster ' + argument, 'toaster', estimate=True)\n"
        "    def latency(self, spec):\n"
        "        return Latency.exactly(1e3 * len(spec.blocks), self.device)\n"
    )
    info = tmp_path / "toaster-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toaster\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[mobile_nas.latency]\ntoaster = toaster:Toaster\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    source = open_device("toaster:left")
    assert source.device.name == "toaster left"
    assert source.latency(SMALL).median_ms == 11_000
    with pytest.raises(InputError, match=r"known are .*toaster"):
        open_device("kettle")


def test_readings_survive_json():
    reading = Latency.exactly(math.pi, LAB)
    assert Latency.from_dict(json.loads(json.dumps(reading.to_dict()))) == reading
