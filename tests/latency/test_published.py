import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import nnls
from scipy.stats import kendalltau

from latency import check_latency_source, open_device
from latency.estimates.published import PHONES, PublishedEstimate, held_out
from latency.estimates.published.fit import fit, nonnegative_least_squares
from latency.estimates.published.held_out import held_out_estimates, kendall_tau
from latency.estimates.published.rows import published_rows
from latency.estimates.published.work import KINDS, work
from search_spaces import REFERENCES, InputError, count, load_space
from search_spaces.improvements import hswish_from, resize_stem, unfuse_hswish
from search_spaces.spec import ArchSpec, BlockSpec, HeadSpec, StemSpec

LARGE = REFERENCES["mobilenet_v3_large"]
SMALL = REFERENCES["mobilenet_v3_small"]


def ms(phone, spec):
    return PublishedEstimate(phone).latency(spec).median_ms


@pytest.mark.parametrize("phone", PHONES)
def test_contract(phone):
    check_latency_source(open_device(phone), SMALL(resolution=96), LARGE())


@pytest.mark.parametrize("phone", PHONES)
def test_labelled_with_its_error(phone):
    source = open_device(phone)
    reading = source.latency(LARGE())
    assert reading.estimate
    assert reading.stable
    assert reading.samples == 0
    assert PHONES[phone] in reading.device
    assert f"held-out error {held_out(phone).mape:.0%}" in reading.device


@pytest.mark.parametrize(
    ("phone", "name", "published_ms"),
    [
        ("pixel1", "mobilenet_v3_large", 51.2),
        ("pixel2", "mobilenet_v3_large", 61.0),
        ("pixel3", "mobilenet_v3_large", 44.0),
        ("pixel1", "mobilenet_v3_small", 15.8),
        ("pixel2", "mobilenet_v3_small", 19.4),
        ("pixel3", "mobilenet_v3_small", 14.4),
        ("pixel1", "mobilenet_v2", 64.0),
        ("pixel1", "mnasnet_a1", 71.0),
        ("pixel1", "mobilenet_v3_large_minimalistic", 44.1),
    ],
)
def test_published_latencies(phone, name, published_ms):
    assert ms(phone, REFERENCES[name]()) == pytest.approx(published_ms, rel=0.15)


def test_unseen_networks_keep_published_ratios():
    # One TFLite of its own measured MobileNetV1 1.0/224 and 0.5/160 on Pixel 2 (160.1 and 26.8 ms), another
    # MobileNetV1 and V2 on Pixel 1 (82 and 49 ms): neither is in the rows, and ratios need no runtime.
    v1 = REFERENCES["mobilenet_v1"]
    shrunk = ms("pixel2", v1()) / ms("pixel2", v1(width=0.5, resolution=160))
    assert shrunk == pytest.approx(160.1 / 26.8, rel=0.15)
    older = ms("pixel1", v1()) / ms("pixel1", REFERENCES["mobilenet_v2"]())
    assert older == pytest.approx(82 / 49, rel=0.15)


@pytest.mark.parametrize("phone", PHONES)
def test_accuracy_requirements(phone):
    result = held_out(phone)
    assert result.mape <= 0.10
    assert result.row_mape <= 0.10
    assert result.tau >= 0.9
    assert len(result.families) == 5
    assert result.rows == sum(row.phone == phone for row in published_rows())


def refit(rows):
    """An independent computation of `fit`: rates of pixel1 by scipy, factors by hand."""

    def families(some):
        return [sum(other.family == row.family for other in some) for row in some]

    pixel1 = [row for row in rows if row.phone == "pixel1"]
    a, b = [], []
    for row, size in zip(pixel1, families(pixel1), strict=True):
        a.append(work(row.spec) / row.latency_ms / math.sqrt(size))
        b.append(1 / math.sqrt(size))
        if row.variant and row.variant != "relu":
            (relu,) = (other for other in pixel1 if other.variant == "relu")
            root = 8 / math.sqrt(size) / relu.latency_ms
            a.append((work(row.spec) - work(relu.spec)) * root)
            b.append((row.latency_ms - relu.latency_ms) * root)
    rates, _ = nnls(np.array(a), np.array(b))
    factors = {}
    for phone in PHONES:
        own = [row for row in rows if row.phone == phone]
        logs = [math.log(row.latency_ms / (work(row.spec) @ rates)) for row in own]
        factors[phone] = math.exp(np.average(logs, weights=1 / np.array(families(own))))
    return {phone: rates * (1 if phone == "pixel1" else factors[phone]) for phone in PHONES}


@pytest.mark.parametrize("phone", PHONES)
def test_the_fit_equals_scipys(phone):
    assert fit(phone) == pytest.approx(refit(published_rows())[phone], rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("phone", PHONES)
def test_held_out_errors_exclude_the_family(phone):
    rows = published_rows()
    own = [row for row in rows if row.phone == phone]
    expected = np.empty(len(own))
    for family in {row.family for row in own}:
        rates = refit([row for row in rows if row.family != family])[phone]
        for index, row in enumerate(own):
            if row.family == family:
                expected[index] = work(row.spec) @ rates
    assert held_out_estimates(phone) == pytest.approx(expected, rel=1e-6)
    published = np.array([row.latency_ms for row in own])
    errors = np.abs(expected / published - 1)
    by_family = [
        np.mean([e for e, row in zip(errors, own, strict=True) if row.family == family])
        for family in {row.family for row in own}
    ]
    result = held_out(phone)
    assert result.mape == pytest.approx(np.mean(by_family))
    assert result.row_mape == pytest.approx(errors.mean())
    assert result.within10 == pytest.approx(np.mean(errors <= 0.1))
    assert result.tau == pytest.approx(kendalltau(published, expected).statistic)
    seen = np.array([work(row.spec) @ fit(phone) for row in own])
    assert result.row_mape > np.abs(seen / published - 1).mean()


def test_rows_come_from_one_series():
    sources = {"pixel1": 32, "pixel2": 11, "pixel3": 11}
    rows = published_rows()
    assert {phone: sum(row.phone == phone for row in rows) for phone in sources} == sources
    assert len({(row.phone, row.spec) for row in rows}) == len(rows)  # no network twice


@pytest.mark.parametrize("phone", PHONES)
@pytest.mark.parametrize("name", REFERENCES)
def test_more_pixels_and_wider_layers_take_longer(phone, name):
    source, reference = PublishedEstimate(phone), REFERENCES[name]
    by_size = [
        source.latency(reference(resolution=px)).median_ms for px in (96, 128, 192, 224, 320)
    ]
    by_width = [source.latency(reference(width=w)).median_ms for w in (0.35, 0.5, 0.75, 1.0, 1.4)]
    assert by_size == sorted(by_size)
    assert by_width == sorted(by_width)


def test_hswish_costs_what_table_5_says():
    def relu(spec):
        return resize_stem(hswish_from(spec, None), 16, act="relu")

    base = ms("pixel1", relu(LARGE()))
    more = {n: ms("pixel1", hswish_from(LARGE(), n)) - base for n in (16, 80, 112)}
    unfused = {n: ms("pixel1", unfuse_hswish(hswish_from(LARGE(), n))) - base for n in more}
    assert more[16] > more[80] > more[112] > 0
    assert more == pytest.approx({16: 3.0, 80: 0.9, 112: 0.5}, abs=0.5)
    assert unfused == pytest.approx({16: 18.4, 80: 7.0, 112: 3.9}, abs=1.5)


def test_the_improvements_of_the_paper_save_time():
    large = LARGE()
    assert ms("pixel1", large) < ms("pixel1", REFERENCES["mobilenet_v3_large_unimproved"]())
    wide = resize_stem(large, 32, act="relu")
    assert 0.5 < ms("pixel1", wide) - ms("pixel1", large) < 4  # the paper: 2 ms


def test_work_adds_up():
    spec = LARGE()
    dense, depthwise, _, vector, _, _ = work(spec)
    assert dense + depthwise + vector == pytest.approx(count(spec).madds / 1e6)
    source = PublishedEstimate("pixel1")
    kinds = source.by_kind(spec)
    assert tuple(kinds) == KINDS
    assert sum(kinds.values()) == pytest.approx(source.latency(spec).median_ms)


def toy(block, **changes):
    stem = StemSpec(out=8, kernel=3, stride=2, act="hswish")
    head = HeadSpec(conv=0, hidden=0, act="relu", dropout=0.0, classes=10)
    return ArchSpec(32, 1e-3, stem, (replace(block, **changes),), head)


def test_work_by_hand():
    plain = BlockSpec("conv", 3, 1, 0, 8, 0, "none", "hswish", linear=False, skip="none")
    a_map = 16 * 16 * 8
    dense = 16 * 16 * 8 * 27 + a_map * 72
    moved = 32 * 32 * 3 + a_map + 2 * a_map
    expected = np.array([dense, 0, moved, 80, 2 * a_map, 0]) / 1e6
    assert work(toy(plain)) == pytest.approx(expected)
    linear = work(toy(plain, linear=True)) - work(toy(plain))
    assert linear * 1e6 == pytest.approx([0, 0, 0, 0, -a_map, 0])
    skip = work(toy(plain, skip="identity")) - work(toy(plain))
    assert skip * 1e6 == pytest.approx([0, 0, 3 * a_map, 0, 0, 0])
    pool = work(toy(plain, skip="pool")) - work(toy(plain))
    assert pool * 1e6 == pytest.approx([0, 0, 5 * a_map, 0, 0, 0])
    excited = work(toy(plain, se=2, gate="sigmoid")) - work(toy(plain))
    assert excited * 1e6 == pytest.approx([0, 0, 3 * a_map, 32, 0, 0])
    unfused = work(toy(plain, act="swish")) - work(toy(plain))
    assert unfused * 1e6 == pytest.approx([0, 0, 0, 0, -a_map, a_map])


def test_se_of_a_bottleneck_moves_the_expanded_map():
    block = BlockSpec("mbconv", 3, 2, 24, 8, 0, "none", "relu", linear=True, skip="none")
    more = work(toy(block, se=4, gate="hsigmoid")) - work(toy(block))
    assert more * 1e6 == pytest.approx([0, 0, 3 * 8 * 8 * 24, 2 * 24 * 4, 0, 0])


def test_beyond_names_unpublished_parts():
    source = PublishedEstimate("pixel1")
    assert all(source.beyond(row.spec) == () for row in published_rows())
    assert source.beyond(REFERENCES["mobilenet_v1"]()) == ()
    first = LARGE().blocks[0]
    odd = replace(first, op="conv", kernel=5, skip="pool", act="swish")
    spec = replace(LARGE(), blocks=(odd, *LARGE().blocks[1:]))
    assert source.beyond(spec) == ("5x5 convolution in the body", "pool skip", "swish")
    assert source.latency(spec).stable
    (too_slow,) = source.beyond(LARGE(resolution=512))
    assert "where published figures are 4.4 to 77 ms" in too_slow
    (too_fast,) = source.beyond(SMALL(resolution=32))
    assert "4.4 to 77 ms" in too_fast


def test_every_network_of_the_space_has_an_estimate():
    space = load_space("mnasnet", resolution=224, classes=10)
    source = PublishedEstimate("pixel2")
    rng = np.random.default_rng(0)
    for _ in range(20):
        spec = space.decode(tuple(int(rng.integers(n)) for n in space.arities))
        assert 1 < source.latency(spec).median_ms < 3000


def test_same_network_same_reading():
    one, other = PublishedEstimate("pixel3"), PublishedEstimate("pixel3")
    assert one.device == other.device
    assert one.latency(LARGE()) == other.latency(LARGE())
    prints = {PublishedEstimate(phone).device.fingerprint for phone in PHONES}
    assert len(prints) == 3


def test_bad_input():
    with pytest.raises(InputError, match="pixel1 takes no argument, got '9'"):
        open_device("pixel1:9")
    with pytest.raises(InputError, match=r"unknown device 'pixel4': known are .*pixel3"):
        open_device("pixel4")
    with pytest.raises(InputError, match="no published estimate of 'nexus'"):
        PublishedEstimate("nexus")


def test_nonnegative_least_squares_is_scipys():
    rng = np.random.default_rng(0)
    for _ in range(30):
        a, b = rng.normal(size=(12, 5)), rng.normal(size=12)
        assert nonnegative_least_squares(a, b) == pytest.approx(nnls(a, b)[0], abs=1e-9)
    blank = np.column_stack([np.ones(4), np.zeros(4)])
    assert nonnegative_least_squares(blank, np.ones(4)) == pytest.approx([1.0, 0.0])
    assert nonnegative_least_squares(-np.ones((4, 1)), np.ones(4)) == pytest.approx([0.0])


def test_kendall_tau_is_scipys():
    rng = np.random.default_rng(0)
    for _ in range(10):
        a, b = rng.integers(5, size=20).astype(float), rng.integers(5, size=20).astype(float)
        assert kendall_tau(a, b) == pytest.approx(kendalltau(a, b).statistic)
