"""The live view as a terminal of 80 columns shows it."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from latency import Device, Latency
from nas.display.search_view import LiveView, trial_line
from nas.engine.job import Job
from nas.engine.trial import Trial
from nas.engine.watching import Silent, TensorBoard
from nas.searching.presets import make_config
from nas.searching.sizes import Sizes
from search_spaces import REFERENCES

SIZES = Sizes(32, 64)


def trial(index, *, accuracy=0.5):
    return Trial(
        index=index, kind="search", batch=0, tokens=(0,), fingerprint="f", seed=0, accuracy=accuracy,
        latencies=(), reward=accuracy or 0.0, params=1, madds=1,
        error=None if accuracy else "diverged", time={}, px=32,
    )  # fmt: skip


def shown(view):
    console = Console(width=80, file=io.StringIO(), force_terminal=False)
    console.print(view.render())
    return console.file.getvalue().splitlines()


def test_every_line_is_its_own_and_whole():
    view = LiveView(Console(file=io.StringIO()), make_config(preset="quick").with_sizes(SIZES))
    view.measuring(0, 4)
    view.finished(trial(0), replayed=False)
    view.finished(trial(1, accuracy=None), replayed=False)
    bar, *rows = shown(view)
    assert set(bar.strip()) <= set("━╸╺ ")
    starts = [row.split()[0] for row in rows]
    assert starts == ["now", "time", "best", "last", "failures"]
    assert "measuring latency: network 1 of 4 (training is paused)" in rows[0]


LAB = Device("AMD EPYC, 1 thread", "lab")
PIXEL = Device("Pixel 1, estimate", "pixel", estimate=True)


def test_every_device_is_in_a_trials_line():
    one = replace(trial(0), latencies=(replace(Latency.exactly(3.0, LAB), stable=False),))
    assert trial_line(one, SIZES) == (
        "trial 0: 50.0% (32 px) at 3.00 ms (unstable) (64 px), reward 0.500"
    )
    assert trial_line(replace(one, px=64), SIZES) == (
        "trial 0: 50.0% at 3.00 ms (unstable) (64 px), reward 0.500"
    )
    both = replace(one, latencies=(*one.latencies, Latency.exactly(60.0, PIXEL)))
    assert trial_line(both, SIZES) == (
        "trial 0: 50.0% (32 px) at 3.00 ms (unstable) on AMD EPYC and 60.0 ms (estimate) on Pixel 1 "
        "(64 px), reward 0.500"
    )


def test_readings_are_counted_where_there_are_several_devices():
    config = make_config(preset="quick", overrides={"device": ["cpu=8", "pixel1=60"]}).with_sizes(
        SIZES
    )
    view = LiveView(Console(file=io.StringIO()), config)
    view.measuring(4, 8)
    assert "measuring latency: reading 5 of 8" in view.doing


def test_tensorboard_has_a_curve_a_device(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = TensorBoard(tmp_path)
    one = replace(trial(0), latencies=(Latency.exactly(3.0, LAB),))
    board.finished(one, replayed=False)
    board.finished(
        replace(one, latencies=(*one.latencies, Latency.exactly(60.0, PIXEL))), replayed=False
    )
    board.close()
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    tags = set(events.Tags()["scalars"])
    assert {
        "trial/latency_ms",
        "trial/latency_ms/AMD-EPYC",
        "trial/latency_estimate_ms/Pixel-1",
    } <= tags


def test_time_left_is_the_plans_until_a_batch_is_whole(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr("nas.display.search_view.time.monotonic", lambda: now[0])
    # Batches of 4; 16 trials, 2 finalists of 3, 2 repeats: 24.
    config = make_config(preset="quick").with_sizes(Sizes(32, 32))
    view = LiveView(Console(file=io.StringIO()), config, expected_s=240.0)
    assert view.left_s() is None
    view.measuring(0, 4)
    now[0] += 40
    view.finished(trial(0), replayed=False)
    assert view.left_s() == 200.0
    for index in range(1, 4):
        view.finished(trial(index), replayed=False)
    assert view.left_s() == 40 / 4 * 20
    assert isinstance(view, Silent)


def job(index, kind):
    spec = REFERENCES["mobilenet_v3_small"]()
    return Job(index, kind, batch=0, tokens=(0,), spec=spec, seed=0)


def test_time_left_under_a_budget_is_the_budgets_until_the_finals_begin(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr("nas.display.search_view.time.monotonic", lambda: now[0])
    config = make_config(preset="quick", overrides={"budget_s": 600.0}).with_sizes(Sizes(32, 32))
    view = LiveView(Console(file=io.StringIO()), config, expected_s=580.0, budget_left_s=590.0)
    view.measuring(0, 4)
    for index in range(40):  # many more than the preset's 16
        now[0] += 10
        view.finished(trial(index), replayed=False)
        assert view.left_s() == 590 - (index + 1) * 10
    assert "6 min 40 s, 3 min 10 s left" in shown(view)[2]
    view.training([job(0, "final"), job(1, "final"), job(2, "repeat")])
    assert view.left_s() == 400 / 40 * 7  # finalists of three trials' length
    view.finished(replace(trial(0), kind="final"), replayed=False)
    assert view.left_s() == pytest.approx(400 / 43 * 4)


def budgeted(planned=169):
    overrides = {"budget_s": 600.0, "trials": planned}
    config = make_config(preset="quick", overrides=overrides).with_sizes(Sizes(32, 32))
    console = Console(width=100, file=io.StringIO(), force_terminal=False)
    view = LiveView(console, config, expected_s=580.0, budget_left_s=590.0)
    view.measuring(0, 4)
    for index in range(4):
        view.finished(trial(index), replayed=False)
    return view, console.file


@pytest.mark.parametrize(
    ("planned", "fit", "said"),
    [
        (169, 64, "first batch done: 64 trials now fit the budget, 169 were planned"),
        (16, 40, "first batch done: 40 trials now fit the budget, 16 were planned"),
        (100, 80, None),  # not off by more than a quarter
        (100, 125, None),
        (8, 1, "first batch done: 1 trial now fits the budget, 8 were planned"),
    ],
)
def test_the_first_batch_corrects_the_number_of_trials(planned, fit, said):
    view, file = budgeted(planned)
    view.fitting(fit)
    corrections = [line for line in file.getvalue().splitlines() if "fit" in line]
    assert corrections == ([said] if said else [])
    assert f"4 of about {fit} that fit the budget" in " ".join(shown(view))
    assert view.total == fit + 2 * 3.0 + 2


def test_later_batches_correct_it_without_a_word():
    view, file = budgeted()
    view.fitting(64)
    view.fitting(30)
    assert file.getvalue().count("fit the budget") == 1
    assert "4 of about 30" in " ".join(shown(view))


def test_a_run_that_was_gone_on_with_does_not_call_it_its_first_batch():
    view, file = budgeted()
    for index in range(4, 12):
        view.finished(trial(index), replayed=True)
    view.fitting(64)
    assert "resumed: 64 trials now fit the budget, 169 were planned" in file.getvalue()


def test_fewer_finals_than_planned_leave_nothing(monkeypatch):
    """A space of four networks: the search ends after one batch, and all is done after its finals."""
    view = LiveView(
        Console(file=io.StringIO()), make_config(preset="quick").with_sizes(Sizes(32, 32))
    )
    view.measuring(0, 4)
    for index in range(4):
        view.finished(trial(index), replayed=False)
    view.training([job(0, "final")])
    view.finished(replace(trial(0), kind="final"), replayed=False)
    assert view.left_s() == 0.0
