"""Multi-fidelity in a run that fails, repeats itself, or is ended at any moment: one log, one result."""

import random
from types import SimpleNamespace

import pytest

from nas.engine.job import Outcome
from nas.engine.on_ray.cluster import Resources
from nas.engine.on_ray.tune import run_on_ray
from nas.engine.runner import RunStoppedError
from nas.searching.fidelity import LEAST_PAIRS, Halving
from search_spaces import InputError
from tests.nas.conftest import without_times
from tests.nas.searching.test_fidelity import HALF, Spy, curves, finish, number, rungs_of


def logs(loop):
    return without_times(loop.logs.trials), without_times(loop.logs.finals)


class Pool:
    """Asks for networks of a small pool, so that they come again: in one batch, and in later ones."""

    def __init__(self, arities, *, size, seed=0):
        draw = random.Random(seed)
        self.pool = [tuple(draw.randrange(a) for a in arities) for _ in range(size)]
        self.draw, self.told = draw, []

    def ask(self, n):
        return [self.draw.choice(self.pool) for _ in range(n)]

    def tell(self, scored):
        self.told.append(list(scored))


@pytest.fixture
def begin(make_loop, tmp_path):
    """A search with multi-fidelity, in a folder of that name."""

    def made(name="run", *, pool=None, **parts):
        loop = make_loop(tmp_path / name, **{"fidelity": HALF} | parts)
        if pool is not None:
            loop.plan.controller = Pool(loop.plan.space.arities, size=pool)
        return loop

    return made


def interrupted(loop, evaluate, jobs):
    """Ended before the job of this number."""
    for _ in range(jobs):
        job = loop.next_job()
        loop.record(job, evaluate(job))


PARTS = {"trials": 14, "batch_size": 6, "finalists": 1, "repeats": 1}


class TestReplay:
    @pytest.mark.parametrize("pool", [None, 7])
    def test_ended_before_any_job_it_goes_on_as_if_nothing_was(self, begin, pool):
        trained = []

        def counting(job):
            trained.append(job)
            return curves(job)

        whole = finish(begin("whole", pool=pool, **PARTS), counting)
        jobs = len(trained)
        assert {job.kind for job in trained} == {"rung", "search", "final", "repeat"}
        for stop in range(jobs):
            name = f"part-{stop}"
            interrupted(begin(name, pool=pool, **PARTS), curves, stop)
            trained.clear()
            again = finish(begin(name, pool=pool, **PARTS), counting)
            assert logs(again) == logs(whole), stop
            assert len(trained) == jobs - stop  # nothing that had ended is trained again

    @pytest.mark.parametrize("workers", [2, 3, 16])
    def test_outcomes_in_any_order_and_kills_among_them_give_one_log(self, begin, workers):
        whole = finish(begin("whole", pool=9, **PARTS))
        draw = random.Random(workers)
        loop, out, lives = begin(pool=9, **PARTS), [], 1
        while True:
            while len(out) < workers and (job := loop.next_job()) is not None:
                out.append(job)
            if not out:
                break
            job = out.pop(draw.randrange(len(out)))
            loop.record(job, curves(job))
            if draw.random() < 0.3:  # what was out is lost
                loop, out, lives = begin(pool=9, **PARTS), [], lives + 1
        assert lives > 1
        assert logs(loop) == logs(whole)

    @pytest.mark.ray
    @pytest.mark.slow
    @pytest.mark.long
    def test_on_ray_too(self, begin):
        whole = finish(begin("whole", **PARTS))
        loop = begin(**PARTS)
        run_on_ray(loop, curves, Resources(workers=2))
        assert logs(loop) == logs(whole)

    def test_cut_anywhere_the_log_grows_to_the_same(self, begin):
        whole = finish(begin("whole", pool=7, **PARTS), flaky)
        lines = (whole.folder / "trials.jsonl").read_bytes().splitlines(keepends=True)
        for kept in range(len(lines)):
            part = begin(f"part-{kept}", pool=7, **PARTS)
            (part.folder / "trials.jsonl").write_bytes(b"".join(lines[:kept]) + lines[kept][:40])
            assert logs(finish(begin(f"part-{kept}", pool=7, **PARTS), flaky)) == logs(whole), kept

    def test_a_log_of_the_other_kind_is_refused(self, begin):
        finish(begin(**PARTS))
        with pytest.raises(
            InputError, match=r"trials\.jsonl: rung 0 is not what this run would ask"
        ):
            begin(**PARTS, fidelity=None).next_job()
        finish(begin("plain", **PARTS, fidelity=None))
        with pytest.raises(
            InputError, match=r"trials\.jsonl: search 0 is not what this run would ask"
        ):
            begin("plain", **PARTS).next_job()


def flaky(job):
    """By the network alone, so that a failure is the same whenever it is tried."""
    if job.kind == "rung" and number(job) % 4 == 1:
        return Outcome(None, "diverged: nan")
    if job.kind == "search" and number(job) % 4 == 2:
        raise MemoryError("out of memory")
    return curves(job)


class TestFailures:
    def test_what_fails_at_first_does_not_go_on_and_is_told_as_nothing(self, begin):
        loop = begin(trials=30, batch_size=10)
        loop.plan.controller = Spy(loop.plan.controller)
        finish(loop, flaky)
        bad = {t.index for t in loop.logs.trials if not t.ok}
        failed_first = {t.index for t in rungs_of(loop) if not t.ok}
        assert failed_first < bad
        assert not failed_first & {t.index for t in loop.plan.trials}
        rewards = [reward for told in loop.plan.controller.told for _, reward in told]
        assert {i for i, reward in enumerate(rewards) if reward == 0.0} == bad
        assert {t.index for t in loop.logs.finals} <= {t.index for t in loop.plan.trials if t.ok}

    @pytest.mark.parametrize("kind", ["rung", "search"])
    def test_all_failing_stops_the_search_which_can_go_on(self, begin, kind):
        def bad(job):
            return Outcome(None, "no GPU") if job.kind == kind else curves(job)

        count = 10 if kind == "rung" else LEAST_PAIRS
        with pytest.raises(RunStoppedError, match=f"all {count} trials of a batch failed: no GPU"):
            finish(begin(trials=20, batch_size=10), bad)
        loop = begin(trials=20, batch_size=10)
        loop.plan.controller = Spy(loop.plan.controller)
        finish(loop)
        # What failed is tried again: the machine may have been at fault.
        assert all(trial.ok for trial in loop.logs.trials)
        assert logs(loop) == logs(finish(begin("whole", trials=20, batch_size=10)))

    def test_a_failed_twin_s_outcome_stands_also_where_the_log_ends_between_the_two(self, begin):
        parts = {"pool": 3, "trials": 6, "batch_size": 6}
        asked = begin("peek", **parts).plan.controller.ask(6)
        assert asked.count(asked[0]) > 1

        def bad(job):
            return Outcome(None, "diverged: nan") if job.tokens == asked[0] else curves(job)

        whole = finish(begin("whole", **parts), bad)
        assert sum(not t.ok for t in whole.logs.trials) == asked.count(asked[0])
        lines = (whole.folder / "trials.jsonl").read_bytes().splitlines(keepends=True)
        for kept in range(6):
            (begin(f"p{kept}", **parts).folder / "trials.jsonl").write_bytes(b"".join(lines[:kept]))
            assert logs(finish(begin(f"p{kept}", **parts), bad)) == logs(whole)


class TestDuplicates:
    def test_no_network_trains_twice_for_one_length(self, begin):
        trained = []
        loop = begin(pool=12, trials=60, batch_size=6)
        finish(loop, lambda job: (trained.append(job), curves(job))[1])
        for kind in ("rung", "search"):
            names = [job.spec.fingerprint for job in trained if job.kind == kind]
            assert len(names) == len(set(names))
        assert len(rungs_of(loop)) == 60
        assert len({t.fingerprint for t in loop.plan.trials}) > 8
        by_network = {}
        for trial in loop.logs.trials:
            by_network.setdefault((trial.kind, trial.fingerprint), set()).add(trial.accuracy)
        assert {len(accuracies) for accuracies in by_network.values()} == {1}

    def test_one_that_was_left_behind_may_go_on_when_it_is_asked_for_again(self, begin):
        loop = begin(pool=12, trials=60, batch_size=6)
        finish(loop)
        first = {}
        for trial in loop.logs.trials:
            first.setdefault((trial.kind, trial.fingerprint), trial.batch)
        later = [
            name
            for kind, name in first
            if kind == "search" and first["rung", name] < first[kind, name]
        ]
        assert later

    def test_one_that_has_trained_in_full_takes_no_other_s_place(self):
        halving = Halving(0.5)
        shorts = [rung(n, accuracy=0.5 + n / 100) for n in range(12)]
        halving.learn(shorts)
        halving.learn([full(n) for n in range(2, 12)])
        again = [rung(11, index=20), rung(0, index=21), rung(1, index=22), rung(11, index=23)]
        assert [t.index for t in halving.promoted(again)] == [20, 22, 23]


def rung(number, *, index=None, accuracy=None, kind="rung"):
    return SimpleNamespace(
        kind=kind, fingerprint=str(number), index=number if index is None else index, ok=True,
        accuracy=0.5 + number / 100 if accuracy is None else accuracy, reward=0.5 + number / 100,
    )  # fmt: skip


def full(number):
    return rung(number, kind="search")
