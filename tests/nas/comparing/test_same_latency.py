from dataclasses import replace

import pytest
import torch

from nas.comparing.contestant import Contestant
from nas.comparing.same_latency import versions_within
from netadapt.channel_selection import channel_order
from search_spaces import REFERENCES, count
from tests.nas.small_parent import small_parent

SPEC = REFERENCES["mobilenet_v2"](resolution=128, classes=3)


def by_norm(start):
    return channel_order(start.spec, start.weights)


def overrun_of(limit):
    return lambda spec: count(spec).madds / limit


def test_a_network_within_the_limit_stays_as_it_is():
    one = Contestant("v2", SPEC)
    assert versions_within(one, overrun_of(count(SPEC).madds), order=by_norm) == [one]


def test_a_slower_one_becomes_as_fast_in_two_ways():
    limit = count(SPEC).madds * 0.6
    narrow, small = versions_within(Contestant("v2", SPEC), overrun_of(limit), order=by_norm)
    assert narrow.name.startswith("v2, width 0.")
    assert narrow.spec.resolution == 128
    assert small.name == "v2, 96 px"  # 128 px cost 78% more
    assert small.spec == replace(SPEC, resolution=96)
    for version in (narrow, small):
        assert 0.85 * limit < count(version.spec).madds <= limit


def test_its_versions_have_its_weights():
    parent = small_parent()
    one = Contestant("small", parent.spec, parent)
    limit = count(parent.spec).madds * 0.6
    for version in versions_within(one, overrun_of(limit), order=by_norm):
        assert version.start.spec == version.spec
        network = version.start.network()
        assert network(torch.zeros(1, 3, 64, 64)).shape == (1, 3)


def test_nothing_is_within_an_impossible_limit():
    assert versions_within(Contestant("v2", SPEC), lambda _: 2.0, order=by_norm) == []


@pytest.mark.parametrize("px", [32, 64])
def test_there_are_no_smaller_images_than_the_stride(px):
    spec = replace(SPEC, resolution=px)
    limit = count(spec).madds * 0.5
    found = versions_within(Contestant("v2", spec), overrun_of(limit), order=by_norm)
    assert found
    assert all(version.spec.resolution >= 32 for version in found)
