"""The lazy table: exact on an additive device, and each piece is timed once."""

from dataclasses import replace

import pytest

from latency import Device, MeasurementError, check_latency_source, open_device
from latency.estimates.lazy_table import LazyTable
from latency.estimates.pieces import pieces
from search_spaces import REFERENCES
from search_spaces.errors import InputError
from tests.latency.test_table import Lab, measured

SMALL = REFERENCES["mobilenet_v3_small"](resolution=64, classes=10)
LARGE = REFERENCES["mobilenet_v3_large"](resolution=64, classes=10)


def narrower(spec, place=3):
    blocks = list(spec.blocks)
    blocks[place] = replace(blocks[place], expand=blocks[place].expand // 2)
    return replace(spec, blocks=tuple(blocks))


def test_the_contract(tmp_path):
    check_latency_source(LazyTable(measured(Lab()), tmp_path), SMALL, LARGE)


def test_differences_of_narrower_networks_are_exact(tmp_path):
    lab = measured(Lab())
    source = LazyTable(lab, tmp_path)
    told = [source.latency(spec).median_ms for spec in (LARGE, narrower(LARGE))]
    whole = [lab.latency(spec).median_ms for spec in (LARGE, narrower(LARGE))]
    assert told[0] == pytest.approx(whole[0])
    assert told[0] - told[1] == pytest.approx(whole[0] - whole[1], rel=0.1)


def test_a_piece_is_timed_once(tmp_path, monkeypatch):
    source = LazyTable(measured(Lab()), tmp_path)
    source.latency(LARGE)
    timed = []
    table = source._tables[64]

    def add(key, value):
        timed.append(key)
        table.entries[key] = value

    monkeypatch.setattr(table, "add", add)
    child = narrower(LARGE)
    source.latency(child)
    assert timed == [list(pieces(child))[4].key]  # the stem is the first
    again = LazyTable(measured(Lab()), tmp_path)
    assert again.latency(LARGE) == source.latency(LARGE)


def test_sums_follow_the_latest_calibration(tmp_path):
    source = LazyTable(measured(Lab()), tmp_path)
    before = source.latency(LARGE).median_ms
    whole = source.confirm(SMALL)
    assert whole.estimate is False
    assert source.latency(LARGE).median_ms == before  # measuring alone changes nothing
    source.calibrate(SMALL, whole)
    assert source.latency(SMALL).median_ms == pytest.approx(whole.median_ms)
    source.calibrate(SMALL, replace(whole, median_ms=2 * whole.median_ms))
    assert source.latency(SMALL).median_ms == pytest.approx(2 * whole.median_ms)


def test_the_reference_is_measured_and_calibrates_the_others(tmp_path):
    source = LazyTable(measured(Lab()), tmp_path).with_anchor(LARGE)
    whole = source.latency(LARGE)
    assert (whole.estimate, source.latency(SMALL).estimate) == (False, True)
    assert source.latency(LARGE) is whole
    assert source.confirm(SMALL).anchor_ms == pytest.approx(whole.median_ms, rel=0.05)
    again = LazyTable(measured(Lab()), tmp_path).with_anchor(LARGE)
    again.calibrate(LARGE, whole)  # as a run that goes on does
    assert again.latency(LARGE) is whole
    assert again.latency(SMALL) == source.latency(SMALL)


def test_a_file_of_another_device_is_rejected(tmp_path):
    source = LazyTable(measured(Lab()), tmp_path)
    source.latency(SMALL)
    (path,) = tmp_path.glob("*.jsonl")
    other = Lab()
    other.device = Device("another lab", "lab-2")
    path.rename(tmp_path / "lab-2-64.jsonl")
    with pytest.raises(InputError, match="is of fingerprint lab-1, not lab-2"):
        LazyTable(measured(other), tmp_path).latency(SMALL)


def test_the_devices_error_is_shown(tmp_path):
    source = LazyTable(measured(Lab(dies_after=1)), tmp_path)
    with pytest.raises(MeasurementError, match="burnt down"):
        source.latency(SMALL)


@pytest.mark.parametrize("device", ["pieces", "pieces:"])
def test_the_wrapped_device_must_be_named(device):
    with pytest.raises(InputError, match="give for instance pieces:cpu"):
        open_device(device)
