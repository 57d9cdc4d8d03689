"""The latency source of NetAdapt within a search: pieces for proposals, at the search's pace."""

from dataclasses import replace

import pytest

from latency import Cached, Measured, Paced, open_device
from latency.estimates.lazy_table import LazyTable
from nas.cli.search.netadapt_rival import proposals_source
from search_spaces import REFERENCES
from tests.latency.test_table import Lab

PARENT = REFERENCES["mobilenet_v3_small"](resolution=64, classes=10)


def narrower(spec):
    blocks = list(spec.blocks)
    blocks[3] = replace(blocks[3], expand=blocks[3].expand // 2)
    return replace(spec, blocks=tuple(blocks))


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("MOBILE_NAS_CACHE", str(tmp_path))


def measured():
    lab = Lab()
    return Measured(lab, clock=lab.clock, sleep=lambda _: None)


def test_proposals_are_sums_of_pieces_and_chosen_networks_are_measured(tmp_path):
    paced = Paced(measured().with_anchor(PARENT), folder=tmp_path)
    asked = proposals_source(paced, PARENT)
    assert not asked.reading(PARENT).estimate
    child = narrower(PARENT)
    assert asked.reading(child).estimate
    assert asked(child) == pytest.approx(paced.latency(child).median_ms, rel=0.05)
    assert not asked.confirm(child).estimate


def test_readings_are_of_the_searchs_pace(tmp_path):
    """The search began when the device was twice as fast."""
    source = measured().with_anchor(PARENT)
    now_ms = source.latency(PARENT).median_ms
    paced = Paced(source, anchor_ms=now_ms / 2, folder=tmp_path)
    asked = proposals_source(paced, PARENT)
    assert asked(PARENT) == pytest.approx(now_ms / 2, rel=0.01)
    child = narrower(PARENT)
    whole_ms = paced.latency(child).median_ms
    assert asked(child) == pytest.approx(whole_ms, rel=0.05)
    assert asked.confirm(child).median_ms == pytest.approx(whole_ms, rel=0.01)


def test_a_table_is_shared_by_runs_with_other_parents(tmp_path):
    """Its entries are relative to one anchor, whatever the search measures beside."""
    other = REFERENCES["mobilenet_v3_large"](resolution=64, classes=10)
    child = narrower(PARENT)
    first = proposals_source(Cached(measured(), tmp_path), other)
    first(child)
    again = proposals_source(Paced(measured().with_anchor(PARENT), folder=tmp_path), PARENT)
    again.reading(PARENT)
    assert again(child) == pytest.approx(measured().latency(child).median_ms, rel=0.05)


def test_estimates_are_asked_as_they_are():
    source = open_device("madds:1")
    assert proposals_source(source, PARENT).source is source
    pieces = LazyTable(measured())
    assert proposals_source(Cached(pieces), PARENT).source is pieces
