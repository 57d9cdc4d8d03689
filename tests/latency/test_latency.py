import json
import math
from dataclasses import replace

import numpy as np
import pytest

from latency import Cached, Device, Latency, MeasurementError, check_latency_source, open_device
from latency.onnx_runtime import OnnxRuntimeCpu
from latency.statistics import Timing, bootstrap_ci95, sample, summarize
from search_spaces import REFERENCES, InputError, count

SMALL = REFERENCES["mobilenet_v3_small"](resolution=64)
LARGE = REFERENCES["mobilenet_v3_large"](resolution=224)
LAB = Device("lab", "lab-1")


class Clock:
    """A device that takes exactly the time it is told to."""

    def __init__(self, run_times_s):
        self.now, self.times = 0.0, iter(run_times_s)

    def __call__(self):
        return self.now

    def run(self):
        self.now += next(self.times)


def forever(value):
    while True:
        yield value


def test_contract_of_every_source(tmp_path):
    quick = Timing(warmup_s=0.01, max_s=0.2)
    for source in (
        open_device("madds:5"),
        OnnxRuntimeCpu(timing=quick),
        Cached(OnnxRuntimeCpu(timing=quick), tmp_path),
    ):
        check_latency_source(source, SMALL, LARGE)


def test_madds_is_a_labelled_estimate():
    reading = open_device("madds:4").latency(LARGE)
    assert reading.median_ms == pytest.approx(count(LARGE).madds / 4e9 * 1e3)
    assert reading.estimate
    assert "estimate" in reading.device
    assert reading.samples == 0


def test_sampling_warms_up_by_time_and_takes_blocks():
    clock = Clock(forever(0.002))
    timing = Timing(warmup_s=0.1, block_s=0.02, min_blocks=8, max_s=5.0)
    blocks = sample(clock.run, timing, clock=clock)
    assert len(blocks) == 8  # no spread: stops as soon as it may
    assert all(len(block) == 10 for block in blocks)
    assert clock.now == pytest.approx(0.1 + 8 * 10 * 0.002)
    assert np.allclose(blocks, 2.0)


def test_sampling_goes_on_until_the_interval_is_narrow():
    rng = np.random.default_rng(0)
    noisy = Clock(0.002 * rng.lognormal(0, 0.2) for _ in forever(None))
    blocks = sample(noisy.run, Timing(max_s=60.0), clock=noisy)
    reading = summarize(blocks, LAB)
    low, high = reading.ci95_ms
    assert len(blocks) > 8
    assert (high - low) / 2 <= 0.01 * reading.median_ms


def test_sampling_stops_at_the_time_cap():
    rng = np.random.default_rng(0)
    wild = Clock(0.01 * rng.lognormal(0, 2) for _ in forever(None))
    sample(wild.run, Timing(max_s=1.0), clock=wild)
    assert wild.now < 5.0


def test_a_slow_network_needs_few_runs():
    clock = Clock(forever(2.0))
    blocks = sample(clock.run, Timing(warmup_s=0.1, max_s=1.0), clock=clock)
    assert [len(block) for block in blocks] == [3]


def test_the_figure_is_the_median_of_block_medians():
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


def test_a_machine_that_is_busy_all_the_time_is_unstable():
    # Nearly every block is slowed alike; the few runs that were not tell.
    slowed = [[2.0, 2.0, 2.0]] * 10
    assert summarize(slowed, LAB).stable
    assert not summarize([[1.0, 2.0, 2.0], *slowed], LAB).stable


def test_the_interval_covers_the_true_median_about_as_often_as_it_says():
    rng = np.random.default_rng(1)
    covered = 0
    for trial in range(200):
        values = rng.normal(10.0, 1.0, size=25)
        low, high = bootstrap_ci95(values, seed=trial)
        covered += low <= 10.0 <= high
    assert 0.90 <= covered / 200 <= 0.99


def test_the_runtime_is_asked_with_the_exported_graph():
    reading = OnnxRuntimeCpu(timing=Timing(warmup_s=0.01, max_s=0.1)).latency(SMALL)
    assert reading.median_ms > 0
    assert not reading.estimate
    assert "1 thread" in reading.device


def test_a_refused_model_is_a_measurement_error():
    with pytest.raises(MeasurementError, match="ONNX Runtime"):
        OnnxRuntimeCpu().latency_of_model(b"not a model")


class Counting:
    device = LAB

    def __init__(self, *, stable=True):
        self.asked, self.stable = 0, stable

    def latency(self, spec):
        self.asked += 1
        return replace(Latency.exactly(5.0, LAB), stable=self.stable, samples=3)


def test_readings_are_kept_by_network_and_device(tmp_path):
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


def test_unstable_readings_are_taken_again(tmp_path):
    source = Counting(stable=False)
    for _ in range(2):
        Cached(source, tmp_path).latency(SMALL)
    assert source.asked == 2


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"median_ms": 1}', "null"])
def test_a_damaged_reading_is_taken_again(tmp_path, damage):
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
        ("toaster", "unknown device 'toaster': known are cpu, madds:RATE"),
        ("madds", "needs a rate"),
        ("madds:fast", "needs a rate in G MAdds/s, got 'fast'"),
        ("madds:0", "must be above 0, got 0"),
        ("madds:-1", "must be above 0"),
        ("madds:nan", "must be above 0"),
        ("madds:inf", "must be above 0"),
        ("cpu:9", "takes no argument"),
        ("", "unknown device"),
    ],
)
def test_bad_devices(device, message):
    with pytest.raises(InputError, match=message):
        open_device(device)


def test_third_parties_add_devices_by_entry_point(tmp_path, monkeypatch):
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
