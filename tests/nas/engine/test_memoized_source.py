"""One reading a network, all at the pace of the first."""

from dataclasses import replace

import pytest

from latency import Device, Latency
from nas.engine.memoized_source import MemoizedSource
from search_spaces import REFERENCES, count

LAB = Device("lab", "lab-1")
SMALL, LARGE = REFERENCES["mobilenet_v3_small"](), REFERENCES["mobilenet_v3_large"]()


class Drifting:
    """A device that is 5% slower each time that it is asked; so is its anchor."""

    device = LAB

    def __init__(self):
        self.asked = 0

    def latency(self, spec):
        pace = 1.05**self.asked
        self.asked += 1
        return replace(Latency.exactly(count(spec).madds / 1e7 * pace, LAB), anchor_ms=2.0 * pace)


def test_each_network_is_asked_about_once_and_drift_does_not_count():
    source, told = Drifting(), []
    asked = MemoizedSource(source, told.append)
    assert asked(LARGE) == pytest.approx(count(LARGE).madds / 1e7)
    assert asked(SMALL) == pytest.approx(count(SMALL).madds / 1e7)
    assert asked(LARGE) == asked(LARGE)
    assert source.asked == 2
    assert told == [1, 2]


def test_a_run_that_goes_on_keeps_its_pace():
    source = Drifting()
    first = MemoizedSource(source)
    seed = first.reading(LARGE)
    again = MemoizedSource(source)
    again.know(LARGE, Latency.from_dict(seed.to_dict()))
    assert again(SMALL) == pytest.approx(count(SMALL).madds / 1e7)
