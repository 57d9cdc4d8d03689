"""What is shown while NetAdapt runs: how the proposals stand, and the time left."""

import io
from types import SimpleNamespace

import pytest
from rich.console import Console

from latency import Latency, open_device
from nas.adapt_job import AdaptJob, of_steps
from nas.adapt_plan import Forecast, Workload
from nas.cli import adapt_pace
from nas.cli.adapt_view import View
from nas.training.recipe import Recipe
from nas.trial import Outcome, Trial
from tests.nas.test_adapt import CONFIG, DATA, SPEC

DEVICE = open_device("madds:1").device
SEED_MS, TARGET_MS = 100.0, 70.0
RECIPE = of_steps(Recipe(batch_size=16), 10)


def job(index, *, ms=90.0, recipe=RECIPE, kind="proposal", stable=True):
    reading = Latency(ms, (ms, ms), ms, ms, 9, "lab", "lab", False, stable)
    return AdaptJob(
        index=index, kind=kind, batch=0, tokens=(), spec=SPEC, seed=0, latency=reading,
        name=f"job {index}", recipe=recipe, parent=SPEC, weights=None,
    )  # fmt: skip


def trial(job, accuracy, score):
    return Trial.of(job, Outcome(accuracy, None if accuracy else "diverged"), reward=score)


@pytest.fixture
def clock(monkeypatch):
    now = SimpleNamespace(s=1000.0)
    monkeypatch.setattr(adapt_pace.time, "monotonic", lambda: now.s)
    return now


@pytest.fixture
def shown():
    return io.StringIO()


def shrink(now_ms=SEED_MS, steps=0):
    return SimpleNamespace(
        steps=steps,
        target_ms=TARGET_MS,
        current=SimpleNamespace(spec=SPEC, latency_ms=now_ms, accuracy=0.8),
        schedule=SimpleNamespace(seed_ms=SEED_MS, deltas_ms=lambda step: (10.0, 5.0)),
    )


def view(shown, forecast=None):
    config = CONFIG.model_copy(
        update={
            "target_ms": TARGET_MS,
            "recipe": RECIPE,
            "final": "scratch",
            "final_recipe": RECIPE,
        }
    )
    workload = Workload(config, train_images=len(DATA.train))
    return View(Console(file=shown, width=200), workload, forecast)


def test_proposals_stand_by_their_scores(shown, clock):
    seen = view(shown)
    jobs = [job(index, stable=index != 3) for index in range(4)]
    seen.proposing(shrink())
    seen.tuning(shrink(), jobs, finishing=False)
    for made, accuracy, score in zip(
        jobs, (0.79, 0.81, None, 0.80), (-1.0, -0.2, 0, -0.5), strict=True
    ):
        seen.tuned(made, trial(made, accuracy, score), replayed=False)
    text = shown.getvalue()
    assert "job 0: 79.0% at 90.0 ms, best of 1 so far" in text
    assert "job 1: 81.0% at 90.0 ms, best of 2 so far" in text
    assert "job 2: failed: diverged" in text
    assert "job 3: 80.0% at 90.0 ms (unstable), number 2 of 3 so far" in text


def test_time_left_is_the_works_at_its_pace_so_far(shown, clock):
    seen = view(shown)
    jobs = [job(index) for index in range(6)]
    seen.proposing(shrink())
    for networks in range(8):
        clock.s += 3.0
        seen.asked(networks)
    seen.tuning(shrink(), jobs, finishing=False)
    assert seen.left_s() is None  # nothing is known yet
    for made in jobs[:4]:
        clock.s += 5.0
        seen.tuned(made, trial(made, 0.8, -1.0), replayed=False)
    # 5 s a proposal: 2 are out, 2 steps of 6 follow (30 ms by tens), and one last training as long. Before
    # each of the two steps 8 networks of 3 s are measured.
    assert seen.left_s() == pytest.approx(5.0 * (2 + 2 * 6 + 1) + 2 * 8 * 3.0)
    assert "best of 4 so far, about 2 min 03 s left" in shown.getvalue()


def test_before_anything_has_trained_it_is_the_forecasts(shown, clock):
    per_work = 2.0 / job(0).work
    forecast = Forecast(
        groups=9, delta_ms=10.0, savings_ms=[20.0] * 6, steps=3, seconds_a_work=per_work,
        seconds_a_question=0.5, tuning_s=36.0, last_s=2.0, latency_s=0.0,
    )  # fmt: skip
    seen = view(shown, forecast)
    seen.proposing(shrink())
    measured_s = 0.5 * forecast.questions_a_step
    assert seen.left_s() == pytest.approx(2.0 * (3 * 6 + 1) + 3 * measured_s)


def test_what_was_replayed_counts_no_time(shown, clock):
    seen = view(shown)
    made = [job(index) for index in range(3)]
    for one in made:
        seen.tuned(one, trial(one, 0.8, -1.0), replayed=True)
    seen.chosen(shrink(90.0, 1), trial(made[0], 0.8, -1.0))
    assert "job 0" not in shown.getvalue()
    assert "step 1: 80.0% at 90.0 ms, target 70.0 ms" in shown.getvalue()
    assert seen.left_s() is None


def test_at_the_end_nothing_is_left(shown, clock):
    seen = view(shown)
    last = [job(index, kind="scratch") for index in range(4)]
    seen.tuning(shrink(TARGET_MS, 3), last, finishing=True)
    for one in last:
        clock.s += 7.0
        seen.tuned(one, trial(one, 0.8, 0.0), replayed=False)
    assert seen.left_s() == 0.0
    assert "4 last trainings" in shown.getvalue()
