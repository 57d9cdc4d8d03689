"""The paper's tables of dense tasks: our counts beside the published ones."""

import json
from dataclasses import replace

import pytest

from nas.cli.commands import table
from search_spaces import count
from search_spaces.references.published import detectors, segmenters


@pytest.mark.parametrize("row", [*detectors(), *segmenters()], ids=lambda row: row.name)
def test_published_counts_are_met(row):
    cost = count(row.spec, width_px=row.width_px)
    if row.params_m is not None:
        assert cost.params / 1e6 == pytest.approx(row.params_m, rel=0.02)
    if row.madds_g is not None:
        assert cost.madds / 1e9 == pytest.approx(row.madds_g, rel=0.07)


def test_the_table_of_detectors(nas):
    code, out, err = nas("table", "detection")
    assert code == 0
    lines = {line.split("  ")[0]: line.split() for line in out.splitlines()}
    assert lines["V3-Large +"][2:] == [
        "3.248",
        "3.22",
        "+0.9%",
        "0.507",
        "0.51",
        "-0.7%",
        "22",
        "119",
    ]
    assert max(map(len, out.splitlines())) <= 100
    assert "unexplained" in err


def test_json_has_every_row(nas):
    _, out, _ = nas("table", "segmentation", "--json")
    rows = json.loads(out)
    assert len(rows) == len(segmenters())
    assert rows[-1]["published"]["params_m"] == 3.221538
    assert rows[-1]["latency"] is None


def test_latencies_are_measured(nas, monkeypatch):
    small = [
        replace(one, width_px=64, spec=replace(one.spec, resolution=64)) for one in detectors()[-2:]
    ]
    monkeypatch.setitem(table.TABLES, "detection", lambda: tuple(small))
    code, out, _ = nas("table", "detection", "--device", "cpu", "--json")
    assert code == 0
    assert all(row["latency"]["median_ms"] > 0 for row in json.loads(out))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("detect",), "no table 'detect': give detection or segmentation: did you mean detection?"),
        (("detection", "--device", "pixel1"), "estimates latencies: give one that measures"),
    ],
)
def test_bad_input(nas, arguments, words):
    code, _, err = nas("table", *arguments)
    assert code == 2
    assert words in err
