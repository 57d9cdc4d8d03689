"""Progress of NetAdapt: the ranking of proposals, and the time left."""

import io
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest
from rich.console import Console

from latency import Latency, open_device
from nas.adapting.forecast import Forecast, Workload
from nas.adapting.job import AdaptJob
from nas.cli.adapt.planning import _lowered_delta
from nas.display import adapt_pace, progress
from nas.display.adapt_view import View
from nas.display.progress import SAY_AFTER_S
from nas.engine.job import Outcome
from nas.engine.trial import Trial
from nas.training.recipe import Recipe
from tests.nas.adapting.test_adapt import CONFIG, DATA, SPEC

DEVICE = open_device("madds:1").device
SEED_MS, TARGET_MS = 100.0, 70.0
RECIPE = Recipe(batch_size=16).of_steps(10)


def job(index, *, ms=90.0, recipe=RECIPE, kind="proposal", stable=True, step=0):
    reading = Latency(ms, (ms, ms), ms, ms, 9, "lab", "lab", False, stable)
    return AdaptJob(
        index=index, kind=kind, batch=step, tokens=(), spec=SPEC, seed=0, latencies=(reading,),
        name=f"job {index}", recipe=recipe, parent=SPEC, weights=None,
    )  # fmt: skip


def trial(job, accuracy, score, **time):
    outcome = Outcome(accuracy, None if accuracy else "diverged")
    return replace(Trial.of(job, outcome, reward=score), time={"train_s": 0.0} | time)


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
        widening=now_ms < TARGET_MS,
        far_below=now_ms < TARGET_MS,
        current=SimpleNamespace(spec=SPEC, latency_ms=now_ms, accuracy=0.8),
        schedule=SimpleNamespace(seed_ms=SEED_MS, deltas_ms=lambda step: (10.0, 5.0)),
    )


def view(shown, forecast=None, *, terminal=False, workers=1, **changes):
    config = CONFIG.model_copy(
        update={
            "target_ms": TARGET_MS,
            "recipe": RECIPE,
            "final": "scratch",
            "final_recipe": RECIPE,
            **changes,
        }
    )
    workload = Workload(config, train_images=len(DATA.train))
    console = Console(file=shown, width=200, force_terminal=terminal)
    return View(console, workload, forecast, workers=workers)


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


def step(seen, clock, *, number=0, now_ms=SEED_MS, measuring_s=24.0, training_s=5.0, proposals=6):
    """A whole step with its confirmation, which takes `measuring_s` too."""
    state = shrink(now_ms, number)
    seen.proposing(state)
    clock.s += measuring_s
    jobs = [job(index, step=number) for index in range(proposals)]
    seen.tuning(state, jobs, finishing=False)
    for made in jobs:
        clock.s += training_s
        seen.tuned(made, trial(made, 0.8, -1.0), replayed=False)
    clock.s += measuring_s
    seen.chosen(shrink(now_ms - 10.0, number + 1), trial(jobs[0], 0.8, -1.0))


def work_left(now_ms, *, proposals, out=0):
    """In trainings of a proposal: those of further steps shrink towards the target, as the last one has."""
    end = TARGET_MS / now_ms
    return out + proposals * (1 + end) / 2 + end


def test_time_left_is_the_works_at_its_pace_so_far(shown, clock):
    seen = view(shown)
    jobs = [job(index) for index in range(6)]
    seen.proposing(shrink())
    clock.s += 24.0
    seen.tuning(shrink(), jobs, finishing=False)
    assert seen.left_s() is None  # nothing is known yet
    for made in jobs[:4]:
        clock.s += 5.0
        seen.tuned(made, trial(made, 0.8, -1.0), replayed=False)
    # 5 s a proposal: 2 are out, 2 steps of 6 follow (30 ms by tens), and one last training. Before each of
    # the two steps something is measured for 24 s.
    expected = 5.0 * work_left(SEED_MS, proposals=2 * 6, out=2) + 2 * 24.0
    assert seen.left_s() == pytest.approx(expected)
    assert "best of 4 so far, about 1 min 52 s left" in shown.getvalue()


def test_measuring_takes_as_long_as_it_did_lately(shown, clock):
    """A device by pieces knows most of a network once the first step is over."""
    seen = view(shown)
    step(seen, clock, measuring_s=300.0)
    step(seen, clock, number=1, now_ms=90.0, measuring_s=4.0)
    seen.proposing(shrink(80.0, 2))
    clock.s += 4.0
    seen.tuning(shrink(80.0, 2), [job(index, step=2) for index in range(6)], finishing=False)
    # One step is under way and none follows: only trainings are left.
    assert seen.left_s() == pytest.approx(5.0 * work_left(80.0, proposals=0, out=6))
    # The step before it confirmed for 300 s and proposed in 4; this one took 4 and 4.
    assert seen.pace.left_s(work=0, steps=1) == pytest.approx((304.0 + 8.0) / 2)


def forecast(per_work, **changes):
    return Forecast(
        groups=9, savings_ms=[20.0] * 6, steps=3, seconds_a_work=per_work, tuning_s=36.0, final_s=2.0,
        **({"delta_ms": 10.0, "first_s": 40.0, "step_s": 10.0, "ends_s": 5.0} | changes),
    )  # fmt: skip


def test_before_anything_has_trained_it_is_the_forecasts(shown, clock):
    seen = view(shown, forecast(2.0 / job(0).work))
    seen.proposing(shrink())
    left_s = 2.0 * work_left(SEED_MS, proposals=3 * 6)
    assert seen.left_s() == pytest.approx(left_s + 3 * 10.0 + 5.0)


def test_a_forecast_that_was_off_is_put_right_by_the_first_step(shown, clock):
    seen = view(shown, forecast(2.0 / job(0).work))
    seen.proposing(shrink())
    clock.s += 80.0  # twice as long as forecast
    seen.tuning(shrink(), [job(index) for index in range(6)], finishing=False)
    left_s = 2.0 * work_left(SEED_MS, proposals=2 * 6, out=6)
    assert seen.left_s() == pytest.approx(left_s + 2 * (2 * 10.0 + 5.0))


def test_a_resumed_run_goes_at_the_pace_of_its_log(shown, clock):
    seen = view(shown, workers=2)
    day = "2026-01-01T00:{:02}:{:02}+00:00"
    for number, minute in enumerate((1, 2, 3)):  # begun at 0:50, 1:50, 2:50: for 10 s each
        jobs = [job(index, step=number) for index in range(2)]
        for made in jobs:
            ended = day.format(minute, 0)
            done = trial(made, 0.8, -1.0, train_s=10.0, finished=ended)
            seen.tuned(made, done, replayed=True)
        seen.chosen(shrink(95.0 - number, number + 1), done)
    seen.tuning(shrink(90.0, 3), [job(index, step=3) for index in range(2)], finishing=False)
    # 10 s a training by two workers, 50 s between steps; 10 ms in 3 steps, so 6 steps are left.
    expected = 5.0 * work_left(90.0, proposals=5 * 2, out=2) + 5 * 50.0
    assert seen.left_s() == pytest.approx(expected)


def test_nothing_is_said_of_the_time_left_before_measuring_is_known(shown, clock):
    seen = view(shown)
    for made in (job(0), job(1)):
        done = trial(made, 0.8, -1.0, train_s=10.0, finished="2026-01-01T00:00:00+00:00")
        seen.tuned(made, done, replayed=True)
    seen.tuning(shrink(), [job(2)], finishing=False)
    assert seen.left_s() is None
    assert "left" not in shown.getvalue()


@pytest.mark.parametrize(("terminal", "lines"), [(False, [5, 10]), (True, [])])
def test_long_waits_are_told_in_lines_where_there_is_no_terminal(shown, clock, terminal, lines):
    seen = view(shown, terminal=terminal)
    seen.proposing(shrink(steps=2))
    for networks in range(12):
        clock.s += SAY_AFTER_S / 5 + 0.01
        seen.asked(networks % 3)
    seen.rest()
    said = [line for line in shown.getvalue().splitlines() if line.startswith("step 3: ")]
    told = [f"step 3: {number} networks measured so far" for number in lines]
    assert [line for line in said if "so far" in line] == told


def test_what_is_sought_at_the_end_is_told_where_there_is_no_terminal(shown, clock):
    seen = view(shown, compare="uniform")
    seen.ending(shrink(TARGET_MS, 3))
    seen.testing(trial(job(0, kind="scratch"), 0.8, 0.0))
    seen.testing(trial(job(1, kind="scratch"), 0.8, 0.0))
    text = shown.getvalue()
    assert "finding the width multiplier of the same latency" in text
    assert text.count("scoring the test images") == 1


def test_a_step_that_gives_back_says_so(shown, clock):
    seen = view(shown)
    seen.proposing(shrink(TARGET_MS - 5.0, 4))
    assert (
        "80.0% at 65.0 ms, 7% below the target of 70.0 ms; measuring wider networks"
        in shown.getvalue()
    )
    seen.ending(shrink(TARGET_MS - 5.0, 4))
    assert "widening again did not bring it closer" in shown.getvalue()


def test_what_was_replayed_counts_no_time(shown, clock):
    seen = view(shown)
    made = [job(index) for index in range(3)]
    for one in made:
        done = trial(one, 0.8, -1.0, finished="2026-01-01T00:00:00+00:00")
        seen.tuned(one, done, replayed=True)
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
    assert "running 4 final trainings" in shown.getvalue()


@pytest.mark.slow
def test_what_takes_long_without_news_is_told_where_there_is_no_terminal(shown, monkeypatch):
    monkeypatch.setattr(progress, "SAY_EVERY_S", 0.01)
    under_way = progress.Waiting(Console(file=shown))
    under_way.begin("training")
    for _ in range(1000):
        if "training (" in shown.getvalue():
            break
        time.sleep(0.01)
    under_way.end()
    assert shown.getvalue().splitlines()[:2] == ["training", "training"]


def test_a_terminal_shows_for_how_long_something_has_been_under_way(shown, clock):
    terminal = Console(file=shown, force_terminal=True, width=80)
    under_way = progress.Waiting(terminal)
    under_way.begin("training")
    clock.s += 70
    terminal.print(under_way)
    under_way.end()
    assert "training (no update for 1 min 10 s)" in shown.getvalue()


def test_a_network_that_measures_otherwise_by_itself_is_told_with_both_figures(shown):
    seen = view(shown)
    seen.chosen(shrink(80.0, 1), trial(job(0, ms=78.0), 0.8, 0.0))
    assert "80.0% at 80.0 ms (measured again; 78.0 ms before), target 70.0" in shown.getvalue()
    seen.chosen(shrink(80.0, 1), trial(job(0, ms=80.0), 0.8, 0.0))
    assert "80.0% at 80.0 ms, target 70.0" in shown.getvalue()


def test_a_latency_just_above_the_target_is_shown_with_more_digits(shown):
    seen = view(shown)
    seen.chosen(shrink(70.04, 1), trial(job(0, ms=70.04), 0.8, 0.0))
    seen.proposing(shrink(70.04, 1))
    assert "80.0% at 70.04 ms, target 70.00 ms" in shown.getvalue()
    assert (
        "80.0% at 70.04 ms, above the target of 70.00 ms; measuring proposals" in shown.getvalue()
    )


@pytest.mark.parametrize(("delta_ms", "said"), [(10.0, ""), (2.5, "saves at least 2.50 ms")])
def test_a_plan_says_that_delta_is_halved(delta_ms, said):
    config = CONFIG.model_copy(update={"delta": 0.1, "target_ms": TARGET_MS})
    text = _lowered_delta(config, forecast(1.0, delta_ms=delta_ms), SEED_MS)
    assert text.endswith(said)
    assert bool(text) == bool(said)
    if said:
        assert text.startswith(
            "no layer can save 10.0 ms in one step (--delta 0.1 asks for 10.0 ms)"
        )
