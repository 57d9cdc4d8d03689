"""What a search is expected to cost, with a training speed that is given."""

import pytest

from latency import open_device
from nas import plan
from nas.config import make_config
from nas.plan import estimate_cost, measure_span
from nas.sizes import Sizes
from search_spaces import load_space

SPACE = load_space("mnasnet", resolution=64, classes=10)
IMAGES_PER_S = 100.0


@pytest.fixture
def cost(monkeypatch):
    monkeypatch.setattr(plan, "training_speed", lambda *_args, **_options: IMAGES_PER_S)
    config = make_config(
        overrides={"recipe": {"steps": 50, "batch_size": 100}, "finals": {"count": 1, "repeats": 2}}
    ).with_sizes(Sizes(32, 32))
    spans = [measure_span(SPACE, open_device("madds:1"))]

    def expected(**given):
        sizes = {"train_images": 1000, "val_images": 300, "workers": 2}
        return estimate_cost(config, spans, **(sizes | given)), spans[0]

    return expected


def test_images_over_speed_on_all_workers(cost):
    plain, _ = cost()
    trial_s = (50 * 100 + 300 / 3) / IMAGES_PER_S  # evaluation is a third of a training pass
    assert plain.trials_s == pytest.approx(100 * trial_s / 2)
    # One finalist, of four trials' length and evaluated once.
    assert plain.finals_s == pytest.approx((4 * 50 * 100 + 300 / 3) / IMAGES_PER_S)


def test_a_search_that_keeps_within_its_target_trains_smaller_networks(cost):
    plain, span = cost()
    typical_ms = span.typical[1].median_ms
    half, _ = cost(within_ms=[typical_ms / 2])
    assert half.trials_s == pytest.approx(plain.trials_s / 2)
    assert half.finals_s == pytest.approx(plain.finals_s / 2)
    loose, _ = cost(within_ms=[typical_ms * 2])
    assert loose == plain


def test_nothing_is_smaller_than_the_smallest(cost):
    plain, span = cost()
    out_of_reach, _ = cost(within_ms=[1e-9])
    assert out_of_reach.trials_s == pytest.approx(
        plain.trials_s * span.fastest_ms / span.typical[1].median_ms
    )
