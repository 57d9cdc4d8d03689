"""`nas measure` on a device that takes exactly the time that it is told to."""

import json
from dataclasses import replace

import pytest

from latency import DEVICES, Device, Kind, Measured, MeasurementError
from latency.measuring.runtime import Conditions
from search_spaces import REFERENCES, count
from search_spaces.spec import from_dict, save, to_dict


class Lab:
    """A multiply-add takes a tenth of a nanosecond, 1.2 times as much once it is warm."""

    device = Device("the lab", "lab-1")

    def __init__(self):
        self.ran = 0

    def export(self, spec):
        return json.dumps(to_dict(spec)).encode()

    def load(self, model):
        return Network(self, count(from_dict(json.loads(model))).madds / 1e7)

    def conditions(self):
        return Conditions(celsius=40.0 + self.ran / 1e6)


class Network:
    def __init__(self, lab, ms):
        self.lab, self.ms = lab, ms

    def run(self, times):
        self.lab.ran += times
        return [self.ms] * times

    def close(self):
        pass


def _gone(_):
    raise MeasurementError("it is away")


@pytest.fixture(autouse=True)
def lab(monkeypatch):
    monkeypatch.setitem(DEVICES, "lab", Kind(lambda _: Measured(Lab()), "lab", "a made-up device"))
    monkeypatch.setitem(DEVICES, "gone", Kind(_gone, "gone", "a device that is away"))


def test_several_networks_are_compared(nas):
    names = ("mobilenet_v3_small", "mobilenet_v3_large", "mobilenet_v3_small")
    code, out, _ = nas("measure", *names, "--device", "lab", "--json")
    assert code == 0
    first, large, again = json.loads(out)
    small_madds, large_madds = (count(REFERENCES[name]()).madds for name in names[:2])
    assert first["median_ms"] == pytest.approx(small_madds / 1e7)
    assert "ratio_to_first" not in first
    assert large["ratio_to_first"] == pytest.approx(large_madds / small_madds)
    assert large["differs"]
    assert again["ratio_to_first"] == pytest.approx(1.0)
    assert not again["differs"]
    code, out, _ = nas("measure", *names, "--device", "lab")
    assert "slower" in out
    assert "no difference" in out


def test_a_model_s_file_is_measured_too(nas, tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(Lab().export(REFERENCES["mobilenet_v2"]()))
    code, out, _ = nas("measure", path, "--device", "lab", "--json")
    assert code == 0
    (document,) = json.loads(out)
    assert document["median_ms"] == pytest.approx(30.0774272)


def test_where_an_estimate_is_a_guess_it_says_so(nas, tmp_path):
    large = REFERENCES["mobilenet_v3_large"]()
    blocks = tuple(replace(block, act="swish") for block in large.blocks)
    save(replace(large, blocks=blocks), tmp_path / "swish.yaml")
    _, out, err = nas("measure", "mobilenet_v3_large", "--device", "pixel1", "--json")
    assert "beyond_published" not in json.loads(out)[0]
    assert "guess" not in err
    _, out, _ = nas("measure", tmp_path / "swish.yaml", "--device", "pixel1", "--json")
    assert json.loads(out)[0]["beyond_published"] == ["swish"]
    _, _, err = nas("measure", tmp_path / "swish.yaml", "--device", "pixel1")
    assert "swish.yaml: the estimate is extrapolated" in err


def test_a_sustained_run_tells_what_time_does(nas):
    arguments = ("mobilenet_v2", "--device", "lab", "--sustained", "0.12")
    code, out, _ = nas("measure", *arguments, "--json")
    assert code == 0
    windows = json.loads(out)["windows"]
    assert len(windows) == 12
    assert windows[-1]["end_s"] >= 0.12
    assert windows[-1]["celsius"] >= windows[0]["celsius"] >= 40.0
    assert nas("measure", *arguments)[0] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("a.onnx",), "a.onnx: No such file or directory"),
        (("mobilenet_v2", "mobilenet_v1", "--sustained", "1"), "--sustained runs one network"),
        (("mobilenet_v2", "--sustained", "0"), "sustained must be above 0 seconds, got 0"),
        (("here.onnx", "--device", "madds:1"), "measures networks, not files"),
    ],
)
def test_bad_input(nas, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here.onnx").write_bytes(b"x")
    device = () if "--device" in arguments else ("--device", "lab")
    code, _, err = nas("measure", *arguments, *device)
    assert code == 2
    assert message in err


def test_devices_are_listed_and_checked(nas):
    code, out, _ = nas("devices", "lab", "gone", "pixel1", "toaster", "--json")
    assert code == 0
    document = json.loads(out)
    assert {"cpu", "pixel1", "madds:RATE", "lab"} <= {kind["device"] for kind in document["kinds"]}
    lab, gone, pixel, toaster = document["checked"]
    assert lab["probe_ms"] == pytest.approx(count(REFERENCES["mobilenet_v3_small"]()).madds / 1e7)
    assert lab["estimate"] is False
    assert gone["problem"] == "it is away"
    assert pixel["estimate"] is True
    assert "unknown device 'toaster'" in toaster["problem"]
    code, out, _ = nas("devices", "lab", "gone")
    assert "does not work: it is away" in out
