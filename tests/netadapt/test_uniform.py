"""The uniform width multiplier: its networks, and the widest one within a limit."""

from dataclasses import replace

import pytest

from latency import DeviceLostError, MeasurementError
from latency.estimates.madds import MaddsEstimate
from netadapt import Widths, memoized, scaled, widest_uniform
from netadapt.narrowing.check import check_narrowing
from netadapt.uniform import distinct_networks
from search_spaces import REFERENCES, InputError
from search_spaces.network import build

LARGE = REFERENCES["mobilenet_v3_large"]
SMALL = REFERENCES["mobilenet_v3_small"](resolution=96)
MADDS = MaddsEstimate(1.0)


@pytest.mark.parametrize("width", [0.75, 0.5, 0.35])
def test_scaled_matches_the_published_multiplier(width):
    published = LARGE(width=width, convention="torchvision")
    ours = scaled(LARGE(), width, include_stem_and_head=True)
    widths = [(b.expand, b.out, b.se) for b in ours.blocks]
    assert widths == [(b.expand, b.out, b.se) for b in published.blocks]
    assert (ours.stem, ours.head) == (published.stem, published.head)
    # The papers keep the last layer below a multiplier of 1, as NetAdapt does by default.
    assert scaled(LARGE(), width).head == replace(published.head, hidden=1280)


def test_without_a_hidden_layer_the_convolution_is_the_last():
    assert scaled(REFERENCES["mobilenet_v2"](), 0.5).head.conv == 1280
    assert scaled(REFERENCES["mobilenet_v2"](), 0.5, include_stem_and_head=True).head.conv == 640


@pytest.mark.parametrize("name", ["mobilenet_v1", "mobilenet_v3_small", "mnasnet_a1"])
@pytest.mark.parametrize("widths", [Widths(), Widths(divisor=16, floor=24)])
def test_networks_are_narrowings_with_allowed_widths(name, widths):
    seed = REFERENCES[name](resolution=64, classes=5)
    networks = distinct_networks(seed, widths=widths)
    assert len({network for _, network in networks}) == len(networks) > 20
    assert networks[-1] == (1.0, scaled(seed, 1.0, widths=widths))
    build(networks[0][1])
    for _, network in networks:
        check_narrowing(seed, network)
        for before, after in zip(seed.widths(), network.widths(), strict=True):
            assert after == before or (after % widths.divisor == 0 and after >= widths.floor)


def test_multiplier_one_is_the_seed():
    assert scaled(LARGE(), 1.0) == LARGE()


@pytest.mark.parametrize("fraction", [1.0, 0.9, 0.61, 0.3])
def test_widest_uniform_matches_brute_force(fraction):
    measured = []

    def latency(spec):
        measured.append(spec.fingerprint)
        return MADDS.latency(spec).median_ms

    limit = fraction * MADDS.latency(SMALL).median_ms
    found = widest_uniform(SMALL, latency=latency, limit_ms=limit)
    fits = [
        (multiplier, network, MADDS.latency(network).median_ms)
        for multiplier, network in distinct_networks(SMALL)
        if MADDS.latency(network).median_ms <= limit
    ]
    assert (found.multiplier, found.spec, found.latency_ms) == fits[-1]
    assert len(measured) == len(set(measured)) <= 13


def test_none_if_no_network_is_within_the_limit():
    assert widest_uniform(SMALL, latency=memoized(MADDS), limit_ms=1e-9) is None


def test_a_network_that_cannot_be_measured_counts_as_too_slow():
    def latency(spec):
        if spec.blocks[8].out == 72:
            raise MeasurementError("out of memory")
        return MADDS.latency(spec).median_ms

    found = widest_uniform(SMALL, latency=latency, limit_ms=latency(SMALL))
    assert found is not None
    assert found.spec.blocks[8].out != 72


def test_a_lost_device_is_an_error():
    def gone(spec):
        raise DeviceLostError("unplugged")

    with pytest.raises(DeviceLostError):
        widest_uniform(SMALL, latency=gone, limit_ms=1.0)


@pytest.mark.parametrize("multiplier", [0.0, -1.0, 1.01, float("nan")])
def test_bad_multipliers(multiplier):
    with pytest.raises(InputError, match="multiplier must be above 0 and at most 1"):
        scaled(SMALL, multiplier)
