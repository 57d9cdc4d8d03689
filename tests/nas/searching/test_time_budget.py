"""Wall time in place of a number of trials, on a clock that only moves when something is trained."""

import json
import time
from functools import partial

import pytest

from latency import open_device
from nas.engine.job import Job, Outcome
from nas.engine.measuring import measure
from nas.engine.runner import run_serially
from nas.engine.trial import Trial
from nas.engine.watching import Several, Silent
from nas.searching.config import FidelityConfig
from nas.searching.fidelity import candidates_worth
from nas.searching.time_budget import MOST_IDLE, TimeBudget, WallTime
from search_spaces import REFERENCES, InputError
from tests.nas.conftest import accuracy_of, without_times
from tests.nas.searching.test_loop import Repeating

HALF = FidelityConfig(first=0.25, keep=0.5)
TRIAL_S, FACTOR = 10.0, 4.0
FINALS_S = 2 * FACTOR * TRIAL_S + 2 * TRIAL_S  # two finalists, two repeats


class Clock:
    def __init__(self):
        self.s = 0.0

    def __call__(self):
        return self.s


class Trainer:
    """Takes its time, and dies at the `dies_at`th job."""

    def __init__(self, clock, dies_at=None, trial_s=TRIAL_S, workers=1):
        self.clock, self.dies_at, self.trial_s, self.jobs = clock, dies_at, trial_s, 0
        self.workers = workers

    def __call__(self, job):
        if self.jobs == self.dies_at:
            raise KeyboardInterrupt
        self.jobs += 1
        took = self.trial_s * {"final": FACTOR, "rung": HALF.first}.get(job.kind, 1.0)
        self.clock.s += took / self.workers
        weights = b"w" if job.kind == "final" else None
        return Outcome(accuracy_of(job), train_s=took, weights=weights)


@pytest.fixture
def begin(make_loop, tmp_path):
    """A search with a time budget in a folder, and its clock."""

    def made(seconds, *, name="run", expected_s=None, used_s=0.0, **parts):
        clock, path = Clock(), tmp_path / name
        path.mkdir(exist_ok=True)
        given = WallTime(seconds, expected_s, used_s)
        budget = TimeBudget(
            given,
            path / "spent.json",
            final_factor=FACTOR,
            worth=partial(candidates_worth, parts.get("fidelity")),
            clock=clock,
        )
        return make_loop(path, trials=10_000, time_budget=budget, **parts), clock

    return made


@pytest.mark.parametrize("seconds", [330.0, 500.0, 777.0])
def test_the_budget_is_kept_within_a_tenth(begin, seconds):
    loop, clock = begin(seconds)
    run_serially(loop, Trainer(clock))
    assert 0.9 * seconds <= clock.s <= 1.1 * seconds
    assert len(loop.logs.finals) == 4
    trained = len({trial.fingerprint for trial in loop.logs.trials})
    assert trained == pytest.approx((0.98 * seconds - FINALS_S) / TRIAL_S, abs=1)


@pytest.mark.parametrize("workers", [1, 4])
def test_time_to_measure_does_not_count_as_time_to_train(begin, workers):
    """The finals are measured already, so they take no longer than their share of the workers."""
    clocks = []

    def measuring(specs, progress):
        clocks[0].s += 4.0 * len(specs)
        return measure([open_device("madds:1")], specs, progress)

    loop, clock = begin(1000.0, measuring=measuring)
    clocks.append(clock)
    run_serially(loop, Trainer(clock, workers=workers))
    assert 950.0 <= clock.s <= 1000.0


def test_an_interruption_does_not_count_what_was_measured_twice(begin):
    clocks = []

    def measuring(specs, progress):
        clocks[-1].s += 4.0 * len(specs)
        return measure([open_device("madds:1")], specs, progress)

    for dies_at in (0, 0, 0, None):  # each time in the first training of a batch
        loop, clock = begin(500.0, measuring=measuring)
        clocks.append(clock)
        if dies_at is None:
            run_serially(loop, Trainer(clock))
            assert loop.plan.time_budget.spent_s <= 500.0
        else:
            with pytest.raises(KeyboardInterrupt):
                run_serially(loop, Trainer(clock, dies_at=dies_at))
            loop.plan.time_budget.keep()


def test_what_came_before_counts(begin):
    loop, clock = begin(500.0, used_s=100.0)
    run_serially(loop, Trainer(clock))
    assert 350.0 <= clock.s <= 400.0


def test_the_first_batch_is_only_as_large_as_is_expected_to_fit(begin):
    loop, clock = begin(FINALS_S + 3 * TRIAL_S + 5.0, expected_s=(TRIAL_S, FINALS_S))
    run_serially(loop, Trainer(clock))
    assert len(loop.logs.trials) == 3


def test_there_is_one_trial_whatever_the_budget(begin):
    loop, clock = begin(1.0, expected_s=(TRIAL_S, FINALS_S))
    run_serially(loop, Trainer(clock))
    assert len(loop.logs.trials) == 1
    assert [trial.kind for trial in loop.logs.finals] == ["final", "repeat"]


def test_trials_that_take_longer_than_expected_are_fewer(begin):
    loop, clock = begin(1000.0, expected_s=(TRIAL_S / 5, FINALS_S / 5))
    run_serially(loop, Trainer(clock))
    assert 900.0 <= clock.s <= 1100.0


@pytest.mark.parametrize("dies_at", [0, 3, 5, 11, 12, 20, 37, 38, 40])
def test_an_interrupted_run_has_what_is_left_of_its_time(begin, dies_at):
    whole, clock = begin(500.0, name="whole")
    run_serially(whole, Trainer(clock))
    jobs = len(whole.logs.trials) + 4
    part, clock = begin(500.0, name="part")
    with pytest.raises(KeyboardInterrupt):
        run_serially(part, Trainer(clock, min(dies_at, jobs - 1)))
    spent_s = json.loads((part.folder / "spent.json").read_text())["total"]
    assert spent_s == clock.s
    again, clock = begin(500.0, name="part")
    run_serially(again, Trainer(clock))
    assert spent_s + clock.s == pytest.approx(500.0, rel=0.1)
    assert without_times(again.logs.trials) == without_times(whole.logs.trials)
    assert without_times(again.logs.finals) == without_times(whole.logs.finals)


@pytest.mark.parametrize("seconds", [500.0])
def test_with_first_parts_it_is_kept_too_and_goes_to_more_candidates(begin, seconds):
    loop, clock = begin(seconds, fidelity=HALF)
    run_serially(loop, Trainer(clock))
    assert 0.9 * seconds <= clock.s <= 1.1 * seconds
    candidates = {trial.fingerprint for trial in loop.logs.trials if trial.kind == "rung"}
    assert len(candidates) > (0.98 * seconds - FINALS_S) / TRIAL_S


@pytest.mark.parametrize("dies_at", [0, 5, 11, 30])
def test_a_run_interrupted_between_first_parts_and_full_ones_has_what_is_left(begin, dies_at):
    whole, clock = begin(500.0, name="whole", fidelity=HALF)
    run_serially(whole, Trainer(clock))
    part, clock = begin(500.0, name="part", fidelity=HALF)
    with pytest.raises(KeyboardInterrupt):
        run_serially(part, Trainer(clock, dies_at))
    spent_s = clock.s
    again, clock = begin(500.0, name="part", fidelity=HALF)
    run_serially(again, Trainer(clock))
    assert spent_s + clock.s == pytest.approx(500.0, rel=0.1)
    same = min(len(whole.logs.trials), len(again.logs.trials)) - 5
    assert without_times(again.logs.trials[:same]) == without_times(whole.logs.trials[:same])


def test_sizes_once_decided_stand_whatever_the_clock_says_later(begin):
    first, clock = begin(500.0)
    run_serially(first, Trainer(clock))
    replayed, clock = begin(500.0)
    clock.s = 1e6
    trained = Trainer(clock)
    run_serially(replayed, trained)
    assert trained.jobs == 0
    assert without_times(replayed.logs.trials) == without_times(first.logs.trials)


def test_a_controller_with_nothing_new_to_propose_ends_the_search(begin):
    loop, clock = begin(1e5)
    loop.plan.controller = Repeating(loop.plan.space.arities)
    run_serially(loop, Trainer(clock))
    assert len(loop.logs.trials) == 5 * 6  # the first batch, and five of nothing new
    assert clock.s < 200.0


@pytest.mark.parametrize("told_s", [0.0, 1e-5])
def test_trainings_that_do_not_tell_their_time_are_timed(begin, monkeypatch, told_s):
    """Otherwise they would look like networks tried before, and end the search after five batches."""
    loop, clock = begin(500.0, batch_size=2)
    monkeypatch.setattr("nas.engine.job.time.monotonic", clock)

    def silent(job):
        clock.s += TRIAL_S
        weights = b"w" if job.kind == "final" else None
        return Outcome(accuracy_of(job), train_s=told_s, weights=weights)

    run_serially(loop, silent)
    assert sum(trial.train_s > 0 for trial in loop.logs.trials) > 5 * 2


NOTHING = ([], [])


def finish_trials(budget, train_s, *, replayed=False):
    job = Job(0, "search", 0, (), REFERENCES["mobilenet_v3_small"](), 0)
    for one_s in train_s:
        budget.finished(Trial.of(job, Outcome(0.5, train_s=one_s), reward=0.5), replayed=replayed)


@pytest.fixture
def measured(tmp_path):
    """A budget of 1,000 s after its first batch, whose trainings each took so long."""

    def after(batch_s, train_s):
        clock = Clock()
        budget = TimeBudget(
            WallTime(1000.0), tmp_path / "spent.json", final_factor=FACTOR, clock=clock
        )
        assert budget.next_batch(len(train_s), lambda: NOTHING) == len(train_s)
        clock.s += batch_s
        finish_trials(budget, train_s)
        return budget, clock

    return after


def test_no_trial_begins_that_takes_longer_than_is_left(measured):
    """Of eight workers, each training takes eight times its share of the wall time."""
    budget, _ = measured(900.0, [900.0] * 8)
    assert budget.next_batch(8, lambda: NOTHING) == 0  # 80 s are left


def test_how_many_more_have_room_is_known_once_some_have_trained(measured, begin):
    budget, _ = measured(50.0, [TRIAL_S] * 5)
    assert budget.room is None
    assert budget.next_batch(5, lambda: NOTHING) == 5
    assert budget.room == (980 - 50) / 10


class Fitting(Silent):
    def __init__(self):
        self.said = []

    def fitting(self, trials):
        self.said.append(trials)


@pytest.mark.parametrize("foretold_s", [TRIAL_S / 3, TRIAL_S, TRIAL_S * 3])
def test_from_the_first_batch_on_the_number_told_is_the_number_that_comes(begin, foretold_s):
    watcher = Fitting()
    loop, clock = begin(1000.0, expected_s=(foretold_s, FINALS_S), watcher=watcher)
    run_serially(loop, Trainer(clock))
    trained = len({trial.fingerprint for trial in loop.logs.trials})  # repeats cost nothing
    assert watcher.said[0] == pytest.approx(trained, rel=0.1)
    assert watcher.said[-1] == len(loop.logs.trials)


def test_a_watcher_that_does_not_want_to_know_is_not_told(begin):
    class Plain:
        def measuring(self, done, total): ...
        def training(self, jobs): ...
        def finished(self, trial, *, replayed): ...
        def told(self, batch, controller): ...

    loop, clock = begin(500.0, watcher=Several(Plain(), Silent(), watcher := Fitting()))
    run_serially(loop, Trainer(clock))
    assert watcher.said


def test_side_by_side_trainings_are_told_from_those_so_far(measured):
    """Two at once take half the time; the finals are expected to do so too, but none is cut in two."""
    budget, clock = measured(50.0, [TRIAL_S] * 10)
    # 980 - 50 are left, and four finals of 40 s on two workers take 80.
    assert budget.next_batch(1000, lambda: ([TRIAL_S] * 4, [])) == round((980 - 50 - 80) / 5)
    clock.s += 0.1
    finish_trials(budget, [0.0])
    assert budget.next_batch(1000, lambda: ([200.0], [])) == round((980 - 50.1 - 800) / 5.01)


def test_a_run_expects_what_it_expected_when_it_began(begin):
    """Killed between its first batch's last line and what that batch took being written down."""
    first, clock = begin(300.0, expected_s=(TRIAL_S, FINALS_S))
    with pytest.raises(KeyboardInterrupt):
        run_serially(first, Trainer(clock, dies_at=5))
    path = first.folder / "spent.json"
    kept = json.loads(path.read_text())
    path.write_text(json.dumps(kept | {"search": 0.0, "trained": 0.0, "trials": 0, "sizes": [5]}))
    again, clock = begin(300.0)  # nobody reckons anew
    run_serially(again, Trainer(clock))
    assert kept["total"] + clock.s == pytest.approx(300.0, rel=0.1)


def test_a_batch_killed_before_its_last_trial_still_shows_how_many_train_at_once(tmp_path):
    """Otherwise the straggler alone is the sample: one trial at once, each as long as a whole batch."""
    path, clock = tmp_path / "spent.json", Clock()

    def begun():
        return TimeBudget(WallTime(1000.0), path, final_factor=FACTOR, clock=clock)

    budget = begun()
    assert budget.next_batch(8, lambda: NOTHING) == 8
    clock.s += 100.0
    finish_trials(budget, [100.0] * 7)  # and killed: the eighth trains once more
    again = begun()
    assert again.next_batch(8, lambda: NOTHING) == 8
    finish_trials(again, [100.0] * 7, replayed=True)
    clock.s += 100.0
    finish_trials(again, [100.0])
    left_s = 980.0 - 100.0 - again.spent_s
    assert left_s > 0
    # Eight trials took 200 s; a final of 100 s shares the wall time with three others.
    again.next_batch(1000, lambda: ([], [100.0] * 4))
    assert again.room == round((980.0 - again.spent_s - 100.0) / 25)


def test_a_batch_with_a_replayed_training_is_not_idle(tmp_path):
    path, clock = tmp_path / "spent.json", Clock()
    first = TimeBudget(WallTime(1000.0), path, final_factor=FACTOR, clock=clock)
    assert first.next_batch(2, lambda: NOTHING) == 2
    clock.s += 1.0
    finish_trials(first, [1.0])  # and killed: the other one is a duplicate
    again = TimeBudget(WallTime(1000.0), path, final_factor=FACTOR, clock=clock)
    assert again.next_batch(2, lambda: NOTHING) == 2
    finish_trials(again, [1.0], replayed=True)
    for _ in range(MOST_IDLE):
        finish_trials(again, [0.0])
        assert again.next_batch(2, lambda: NOTHING) == 2
    finish_trials(again, [0.0])
    assert again.next_batch(2, lambda: NOTHING) == 0


def run_until_logged(loop, clock, trials):
    """Run a search that is killed once its log has `trials` trials, before the last one's time counts."""
    finished = TimeBudget.finished

    def killed(budget, trial, *, replayed):
        if clock.s == trials * TRIAL_S:
            raise KeyboardInterrupt
        finished(budget, trial, replayed=replayed)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(TimeBudget, "finished", killed)
        with pytest.raises(KeyboardInterrupt):
            run_serially(loop, Trainer(clock))


@pytest.mark.parametrize(("batch_size", "finals_s"), [(5, FINALS_S), (1, (FACTOR + 1) * TRIAL_S)])
def test_a_search_killed_at_the_end_of_its_first_batch_knows_what_a_trial_takes(
    begin, batch_size, finals_s
):
    """Nothing was expected of it, and no time is left for a second batch."""
    seconds = batch_size * TRIAL_S + finals_s
    first, clock = begin(seconds, batch_size=batch_size)
    run_until_logged(first, clock, batch_size)
    again, clock = begin(seconds, batch_size=batch_size, used_s=TRIAL_S)
    run_serially(again, Trainer(clock))
    assert len(again.logs.trials) == batch_size


def test_the_plan_tells_its_time_budget_of_trials_itself(make_loop, tmp_path):
    budget = TimeBudget(WallTime(1000.0), tmp_path / "spent.json", final_factor=FACTOR)
    watcher = Fitting()
    loop = make_loop(trials=2, batch_size=2, time_budget=budget, watcher=watcher)
    run_serially(loop, Trainer(Clock()))
    assert json.loads((tmp_path / "spent.json").read_text())["trials"] == 2
    assert watcher.said


def test_what_ends_a_search_is_said_also_where_the_disk_is_full(tmp_path, monkeypatch):
    budget = TimeBudget(WallTime(100.0), tmp_path / "spent.json", final_factor=FACTOR)

    def full(*_):
        raise InputError("spent.json: No space left on device")

    monkeypatch.setattr("nas.searching.time_budget.write_whole", full)
    with pytest.raises(KeyboardInterrupt), budget.kept_up():
        raise KeyboardInterrupt
    with pytest.raises(InputError, match="No space left"), budget.kept_up():
        pass


def test_what_is_spent_is_written_down_while_something_trains(tmp_path, monkeypatch):
    monkeypatch.setattr("nas.searching.time_budget.KEPT_EVERY_S", 0.001)
    clock, path = Clock(), tmp_path / "spent.json"
    budget = TimeBudget(WallTime(100.0), path, final_factor=FACTOR, clock=clock)

    def killed():
        with budget.kept_up():
            clock.s = 30.0
            while not path.exists() or json.loads(path.read_text())["total"] < 30.0:
                time.sleep(0.001)
            clock.s = 45.0
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        killed()
    assert json.loads(path.read_text())["total"] == 45.0
    assert TimeBudget(WallTime(100.0), path, final_factor=FACTOR, clock=clock).spent_s == 45.0
