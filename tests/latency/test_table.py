"""Lookup tables on devices that are exactly additive, or not."""

import json
from dataclasses import replace

import pytest

from latency import Device, Measured, MeasurementError, check_latency_source, open_device
from latency.estimates.pieces import pieces
from latency.estimates.profile import calibrate, time_pieces
from latency.estimates.table import LookupTable, read_table, table_line
from latency.estimates.table_file import TableFile, new_header
from latency.measuring.runtime import Conditions
from search_spaces import REFERENCES, InputError, count, load_space
from search_spaces.network import build
from search_spaces.spec import from_dict, to_dict

SPACE = load_space("mnasnet", resolution=64, classes=10)


class Lab:
    """A MAdd takes a tenth of a nanosecond, a network another tenth of a millisecond."""

    device = Device("the lab", "lab-1")

    def __init__(self, *, dies_after=None):
        self.loaded, self.dies_after, self.now_s = 0, dies_after, 0.0

    def clock(self):
        return self.now_s

    def export(self, spec):
        return json.dumps(to_dict(spec)).encode()

    def load(self, model):
        self.loaded += 1
        if self.dies_after is not None and self.loaded > self.dies_after:
            raise MeasurementError("the lab has burnt down")
        return Steady(self, count(from_dict(json.loads(model))).madds / 1e7 + 0.1)

    def conditions(self):
        return Conditions()


def measured(lab):
    return Measured(lab, clock=lab.clock, sleep=lambda _: None)


class Steady:
    def __init__(self, lab, ms):
        self.lab, self.ms = lab, ms

    def run(self, times):
        self.lab.now_s += times * self.ms / 1e3
        return [self.ms] * times

    def close(self):
        pass


def some_networks(number, random_tokens):
    return [SPACE.decode(random_tokens(SPACE.arities, seed)) for seed in range(number)]


def begin(path, source):
    return TableFile(path, new_header(source, space="mnasnet", resolution=64))


@pytest.fixture
def networks(random_tokens):
    return some_networks(10, random_tokens)


@pytest.fixture
def built(tmp_path, networks):
    path, source = tmp_path / "lab.jsonl", measured(Lab())
    table = begin(path, source)
    time_pieces(source, [p for spec in networks for p in pieces(spec)], table)
    calibrate(source, networks[:5], networks[5:], table)
    return path


def test_a_network_is_its_pieces(networks):
    for spec in networks:
        parts = list(pieces(spec))
        assert len(parts) == len(spec.blocks) + 2
        for part, stage in zip(parts, count(spec).stages, strict=True):
            without = count(part.without()).madds
            # The small network's own classifier has 8 or `cin` inputs without, what the part puts out with.
            classifier = 0 if part is parts[-1] else stage.cout - part.without().stem.out
            if part is parts[-1]:
                classifier = -part.without().head.classes * part.cin
            with_it = count(part.probe()).madds
            first = count(part.without()).stages[0].madds if part is parts[0] else 0
            assert with_it - without == stage.madds + classifier - first


def test_every_probe_is_a_network(networks):
    import torch

    for part in pieces(networks[0]):
        for spec in (part.probe(), part.without()):
            image = torch.zeros(1, 3, spec.resolution, spec.resolution)
            assert build(spec).eval()(image).shape == (1, spec.head.classes)


def test_equal_keys_are_equal_pieces(random_tokens):
    seen = {}
    for spec in some_networks(60, random_tokens):
        for part in pieces(spec):
            other = seen.setdefault(part.key, part)
            assert replace(other, cin=part.cin) == part
    assert len({part.key for part in seen.values()}) == len(seen)


def test_an_additive_device_is_estimated_exactly(built, networks):
    table = LookupTable(built)
    assert table.calibration.mape < 1e-3
    assert table.calibration.tau == 1.0
    assert table.calibration.held_out == 5
    for spec in networks:
        assert table.latency(spec).median_ms == pytest.approx(
            count(spec).madds / 1e7 + 0.1, rel=2e-3
        )
    assert table.device.estimate
    assert "held-out error 0.0%" in table.device.name
    small = min(networks, key=lambda spec: count(spec).madds)
    large = max(networks, key=lambda spec: count(spec).madds)
    check_latency_source(open_device(f"table:{built}"), small, large)


def test_networks_outside_the_table_are_rejected(built, networks):
    table = LookupTable(built)
    with pytest.raises(MeasurementError, match="is of 64 px, the network of 96 px"):
        table.latency(replace(networks[0], resolution=96))
    with pytest.raises(MeasurementError, match="has no 'stem 3x3 s2 3->16 hswish @64'"):
        table.latency(REFERENCES["mobilenet_v3_small"](resolution=64, classes=10))


def test_an_interrupted_table_is_resumed(tmp_path, networks):
    path, wanted = tmp_path / "lab.jsonl", [p for spec in networks for p in pieces(spec)]
    dying = measured(Lab(dies_after=40))
    with pytest.raises(MeasurementError, match="burnt down"):
        time_pieces(dying, wanted, begin(path, dying))
    first = path.read_text()
    assert first.count('"kind": "piece"') >= 8
    path.write_text(first + '{"kind": "piece", "con')  # and a crash cut a line
    with pytest.raises(InputError, match="not finished: resume with nas profile --resume"):
        LookupTable(path)
    source = measured(Lab())
    table = begin(path, source)
    time_pieces(source, wanted, table)
    calibrate(source, networks[:5], networks[5:], table)
    assert path.read_text().startswith(first)
    assert LookupTable(path).calibration.mape < 1e-3
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    keys = [line["content"]["piece"] for line in lines if line["kind"] == "piece"]
    assert len(keys) == len(set(keys))  # each once


def test_whole_networks_are_not_measured_twice(tmp_path, networks):
    path, wanted = tmp_path / "lab.jsonl", [p for spec in networks for p in pieces(spec)]
    source = measured(Lab())
    time_pieces(source, wanted, begin(path, source))
    dying = measured(Lab(dies_after=5))
    with pytest.raises(MeasurementError, match="burnt down"):
        calibrate(dying, networks[:5], networks[5:], begin(path, dying))
    kept = read_table(path).whole
    assert 0 < len(kept) < len(networks)
    table = begin(path, source)
    loaded = source.runtime.loaded
    calibrate(source, networks[:5], networks[5:], table)
    again = source.runtime.loaded - loaded
    assert LookupTable(path).calibration.mape < 1e-3
    assert not read_table(path).whole  # the next calibration is of its own day
    table = begin(path, source)
    loaded = source.runtime.loaded
    calibrate(source, networks[:5], networks[5:], table)
    assert again < source.runtime.loaded - loaded


def test_new_pieces_need_a_new_calibration(built, networks):
    source = measured(Lab())
    table = begin(built, source)
    assert table.calibrated
    extra = REFERENCES["mobilenet_v3_small"](resolution=64, classes=10)
    time_pieces(source, list(pieces(extra)), table)
    with pytest.raises(InputError, match="not finished"):
        LookupTable(built)
    calibrate(source, networks[:5], networks[5:], table)
    assert LookupTable(built).latency(extra).median_ms == pytest.approx(
        count(extra).madds / 1e7 + 0.1, rel=5e-3
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace('"ms": 0', '"ms": 9', 1), r"line \d+: was edited or damaged"),
        (lambda text: "nonsense\n" + text, "line 1: not a latency table"),
        (lambda text: text[text.index("\n") + 1 :], "not a latency table"),
        (lambda _: "", "not a latency table"),
        (
            lambda text: text + table_line("piece", {"piece": "x", "ms": float("nan")}),
            "finite number",
        ),
        (lambda text: text + table_line("piece", {"piece": "x", "ms": "1"}), "finite number"),
        (lambda text: text + table_line("piece", {"ms": 1.0}), "piece"),
        (lambda text: text.replace("table 1", "table 0", 1), "edited or damaged"),
        (
            lambda text: table_line("header", {"format": "mobile-nas latency table 0"}),
            "another version",
        ),
    ],
)
def test_damaged_tables_are_rejected(built, change, message):
    built.write_text(change(built.read_text()))
    with pytest.raises(InputError, match=message):
        LookupTable(built)


def test_a_table_belongs_to_one_device(built):
    other = Lab()
    other.device = Device("another lab", "lab-2")
    with pytest.raises(InputError, match="is of fingerprint lab-1, not lab-2"):
        begin(built, measured(other))
    with pytest.raises(InputError, match="is of resolution 64, not 96"):
        TableFile(built, new_header(measured(Lab()), space="mnasnet", resolution=96))


def test_bad_files(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        open_device(f"table:{tmp_path / 'absent'}")
    with pytest.raises(InputError, match="device table needs a file"):
        open_device("table")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="not a text file"):
        read_table(tmp_path / "binary")
