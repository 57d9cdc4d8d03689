"""What a NetAdapt run is expected to do, against what it does."""

from types import SimpleNamespace

import pytest

from latency import Device, Latency, MeasurementError, open_device
from latency.estimates.lazy_table import LazyTable
from latency.estimates.pieces import pieces
from nas.adapting.forecast import MULTIPLIERS_ASKED, NEIGHBOURS, QUESTIONS, Workload, forecast
from nas.engine.memoized_source import CONFIRMATIONS, MemoizedSource
from nas.training.recipe import Recipe
from netadapt import Settings, width_groups
from netadapt.shrink import Shrink
from search_spaces import count
from tests.latency.test_table import Lab, measured
from tests.nas.adapting.test_adapt import CONFIG, FULL_MS, SPEC, run
from tests.nas.adapting.test_adapt_compare import COMPARED, Seeded


def load(**changes):
    return Workload(CONFIG.model_copy(update=changes), train_images=64)


def test_steps_left_are_of_delta():
    to_half = load(target_ms=50.0)
    assert to_half.steps_left(100.0, saves_ms=10.0) == 5
    assert to_half.steps_left(100.0, saves_ms=11.0) == 5
    assert to_half.steps_left(50.0, saves_ms=10.0) == 0
    # 30 + 15 + 7.5 are enough for 50; 20 + 10 + 5 + ... never reaches it.
    decaying = load(target_ms=50.0, decay=0.5)
    assert decaying.steps_left(100.0, saves_ms=30.0) == 3
    assert decaying.steps_left(100.0, saves_ms=20.0) is None


@pytest.mark.parametrize("config", [CONFIG, COMPARED])
@pytest.mark.parametrize("final", ["scratch", "both"])
def test_the_work_of_the_last_trainings_is_what_is_trained(tmp_path, config, final):
    config = config.model_copy(update={"final": final, "target_ms": 0.85 * FULL_MS})
    trainer = Seeded()
    result = run(tmp_path, trainer, config)
    steps = sum(job.recipe.steps for job in trainer.jobs if job.kind != "proposal")
    expected = Workload(config, train_images=64).final_work(SPEC, len(result.family))
    assert expected == steps * 16 * count(SPEC).madds


def test_proposals_work_is_their_steps():
    recipe = Recipe(epochs=2, batch_size=16)
    assert load(recipe=recipe).tuning == recipe.of_steps(8)
    assert load(recipe=recipe).proposals(SPEC, 3) == 3 * 8 * 16 * count(SPEC).madds


def test_networks_to_come_are_ever_smaller():
    load_ = load(target_ms=50.0)
    now = load_.to_come(SPEC, 100.0, proposals=6, steps=3)
    last = load_.final_work(SPEC, 3)
    assert now == pytest.approx(0.75 * load_.proposals(SPEC, 6) + 0.5 * last)
    # Below the target, where width is given back, they are as they are.
    assert load_.to_come(SPEC, 40.0, proposals=0, steps=3) == last


def told(latency=None, **changes):
    source = MemoizedSource(latency or open_device("madds:1"))
    config = CONFIG.model_copy(update=changes)
    return forecast(Workload(config, 64), SPEC, source, px=32, val_images=16, workers=2)


def test_it_knows_how_many_proposals_the_first_step_has():
    for delta in (0.02, 0.1, 0.4):
        settings = Settings(CONFIG.target_ms, delta=delta)
        loop = Shrink(SPEC, settings, accuracy=0.5, latency=open_device("madds:1"))
        step = loop.next_step()
        expected = told(delta=delta)
        assert expected.able == len(step.proposals)
        assert expected.groups == len(width_groups(SPEC))
        assert min(expected.delta_ms, 0.3 * FULL_MS) == pytest.approx(step.delta_ms)
    assert expected.total_s == expected.tuning_s + expected.final_s + expected.latency_s > 0


def test_where_no_group_can_give_anything_it_says_so():
    class Stiff:
        device = open_device("madds:1").device

        def latency(self, spec):
            if spec != SPEC:
                raise MeasurementError("busy")
            return open_device("madds:1").latency(spec)

    assert told(Stiff()).able == 0


@pytest.fixture
def clock(monkeypatch):
    now = SimpleNamespace(s=1000.0)
    monkeypatch.setattr("nas.adapting.forecast.time.perf_counter", lambda: now.s)
    monkeypatch.setattr("nas.adapting.forecast.training_speed", lambda *_, **__: 100.0)
    return now


def test_a_device_that_measures_takes_as_long_for_every_network(clock):
    class Slow:
        device = Device("lab", "lab")

        def latency(self, spec):
            clock.s += 3.0
            ms = count(spec).madds / 1e6
            return Latency(ms, (ms, ms), ms, ms, 9, "lab", "lab", False, True)

    expected = told(Slow(), compare="uniform")
    assert expected.first_s == pytest.approx(3.0 * QUESTIONS * expected.able)
    asked = len(expected.savings_ms) + QUESTIONS * expected.able + CONFIRMATIONS
    assert expected.step_s == pytest.approx(3.0 * asked)
    challenges = load(compare="uniform").baselines_sought(expected.steps)
    assert expected.ends_s == pytest.approx(3.0 * challenges * (MULTIPLIERS_ASKED + CONFIRMATIONS))
    total = expected.first_s + (expected.steps - 1) * expected.step_s + expected.ends_s
    assert expected.latency_s == pytest.approx(total)


def test_a_device_by_pieces_has_timed_most_of_them_after_the_first_step(clock, tmp_path):
    class Slow(LazyTable):
        """3 s a piece; its reference is known."""

        def _sum(self, spec):
            new = {piece.key for piece in pieces(spec)} - known
            known.update(new)
            clock.s += 3.0 * len(new)
            return float(count(spec).madds)

    known = {piece.key for piece in pieces(SPEC)}
    source = Slow(measured(Lab()), tmp_path, reference=SPEC)
    expected = told(source)
    assert expected.first_s > 0
    whole_s = source.latency(SPEC).samples * source.latency(SPEC).median_ms / 1e3
    later_s = expected.step_s - CONFIRMATIONS * 2 * whole_s
    asked = len(expected.savings_ms) + QUESTIONS * expected.able
    a_question_s = expected.first_s / (QUESTIONS * expected.able)
    assert later_s == pytest.approx(asked * a_question_s * NEIGHBOURS / len(expected.savings_ms))
    assert expected.ends_s == 0.0
