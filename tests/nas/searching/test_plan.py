"""What a search is expected to cost, with a training speed that is given."""

import pytest

from latency import Cached, open_device
from nas.searching.planning import forecast
from nas.searching.planning.forecast import estimate_cost, measure_span
from nas.searching.presets import make_config
from nas.searching.sizes import Sizes
from search_spaces import count, load_space

SPACE = load_space("mnasnet", resolution=64, classes=10)
IMAGES_PER_S = 100.0


@pytest.fixture
def cost(monkeypatch):
    monkeypatch.setattr(forecast, "training_speed", lambda *_args, **_options: IMAGES_PER_S)
    config = make_config(
        overrides={"recipe": {"steps": 50, "batch_size": 100}, "finals": {"count": 1, "repeats": 2}}
    ).with_sizes(Sizes(32, 32))
    spans = [measure_span(SPACE, open_device("madds:1"))]

    def expected(*, spans=spans, **given):
        sizes = {"train_images": 1000, "val_images": 300, "workers": 2}
        return estimate_cost(config, spans, **(sizes | given)), spans[0]

    return expected


def timed_by(monkeypatch, image_s):
    """Let an image take as long as a function of a network's millions of multiply-adds says."""

    def speed(spec, *_args, **_options):
        return 1 / image_s(count(spec).madds / 1e6)

    monkeypatch.setattr(forecast, "training_speed", speed)


def test_images_over_speed_on_all_workers(cost):
    plain, _ = cost()
    trial_s = (50 * 100 + 300 / 3) / IMAGES_PER_S  # evaluation is a third of a training pass
    assert plain.trials_s == pytest.approx(100 * trial_s / 2)
    # One finalist, of four trials' length and evaluated once.
    assert plain.finals_s == pytest.approx((4 * 50 * 100 + 300 / 3) / IMAGES_PER_S)


def test_a_search_that_keeps_within_its_target_trains_smaller_networks(cost, monkeypatch):
    plain, span = cost()
    timed_by(monkeypatch, lambda millions: millions / IMAGES_PER_S)
    plain, _ = cost()
    random_ms = [ms for _, ms in span.points[1:-1]]
    half_ms = span.typical[1].median_ms / 2
    half, _ = cost(within_ms=[half_ms])
    limited = sum(min(ms, half_ms) for ms in random_ms) / sum(random_ms)
    assert half.trials_s == pytest.approx(plain.trials_s * limited)
    assert half.finals_s == pytest.approx(plain.finals_s * limited)
    loose, _ = cost(within_ms=[max(random_ms)])
    assert loose == plain


def test_nothing_is_smaller_than_the_smallest(cost, monkeypatch):
    timed_by(monkeypatch, lambda millions: millions / IMAGES_PER_S)
    out_of_reach, span = cost(within_ms=[1e-9])
    at_it, _ = cost(within_ms=[span.fastest_ms])
    assert out_of_reach == at_it


def test_a_fixed_cost_a_network_does_not_shrink_with_the_target(cost, monkeypatch):
    """On small images every layer takes its time, however narrow it is."""
    timed_by(monkeypatch, lambda _millions: 1 / IMAGES_PER_S)
    plain, span = cost()
    tight, _ = cost(within_ms=[span.fastest_ms])
    assert tight.trials_s == pytest.approx(plain.trials_s)


def test_the_tightest_of_several_targets_counts(cost, monkeypatch):
    timed_by(monkeypatch, lambda millions: millions / IMAGES_PER_S)
    one, span = cost(within_ms=[span_typical := 100.0])
    spans = [span, measure_span(SPACE, open_device("madds:2"))]  # twice as fast
    both, _ = cost(spans=spans, within_ms=[1e9, span_typical / 2])
    assert both.trials_s == pytest.approx(one.trials_s)


class Slow:
    """A device whose every new reading takes ten seconds of a clock."""

    def __init__(self, clock):
        self.clock, self.inner, self.asked = clock, open_device("madds:1"), 0
        self.device = self.inner.device

    def latency(self, spec):
        self.asked += 1
        self.clock[0] += 10.0
        return self.inner.latency(spec)


@pytest.fixture
def slow(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(forecast.time, "perf_counter", lambda: clock[0])
    return Slow(clock)


def test_a_measurement_takes_as_long_as_those_made(slow, tmp_path):
    assert measure_span(SPACE, slow).measured_s == pytest.approx(10.0)
    assert measure_span(SPACE, Cached(slow, tmp_path)).measured_s == pytest.approx(10.0)


def test_kept_readings_do_not_make_new_ones_seem_quick(slow, tmp_path):
    source = Cached(slow, tmp_path)
    measure_span(SPACE, source)
    before = slow.asked
    again = measure_span(SPACE, source)
    assert slow.asked == before + 1  # one network more was measured to see
    assert again.measured_s == pytest.approx(10.0)


def test_where_every_network_is_kept_nothing_is_measured(slow, tmp_path):
    space = load_space("mnasnet", resolution=64, classes=10)
    source = Cached(slow, tmp_path)
    source.holds = lambda _spec: True
    assert measure_span(space, source).measured_s >= 0.0
