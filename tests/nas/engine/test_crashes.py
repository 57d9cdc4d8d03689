"""A process that dies at any write of a run, before, in the middle of or after it: the resumed logs are the
uninterrupted run's."""

import shutil

import pytest

from latency import open_device
from nas.adapting.family import Family
from nas.adapting.plan import AdaptPlan, adapt_runner
from nas.adapting.watching import AdaptWatcher
from nas.checkpoints.torch_files import state_bytes
from nas.engine import trial_log
from nas.engine.folder.run_folder import RunFolder
from nas.engine.job import Outcome
from nas.engine.memoized_source import MemoizedSource
from nas.engine.runner import run_serially
from nas.engine.trial import read_trials
from nas.searching.config import FidelityConfig
from nas.training.recipe import Recipe
from netadapt.settings import Settings
from netadapt.shrink import Shrink
from search_spaces import REFERENCES, count
from search_spaces.network import build
from tests.nas.conftest import oracle

SPEC = REFERENCES["mobilenet_v3_small"](width=0.35, resolution=32, classes=2)
FULL_MS = count(SPEC).madds / 1e6


class Died(BaseException):
    """Nothing catches it, as nothing catches a `kill -9`."""


class Writes:
    """Counts writes, and dies at one of them."""

    def __init__(self, monkeypatch, *, dies_at=None, when="before"):
        self.done, self.dies_at, self.when = 0, dies_at, when
        append, whole = trial_log._append, trial_log.write_whole
        monkeypatch.setattr(trial_log, "_append", self.around(append, torn=self.torn))
        guarded = self.around(whole, torn=lambda *_: None)  # a file is replaced whole or not at all
        for module in ("engine.trial_log", "engine.folder.run_folder", "adapting.family"):
            monkeypatch.setattr(f"nas.{module}.write_whole", guarded)

    def around(self, write, *, torn):
        def written(path, content):
            dies = self.done == self.dies_at
            self.done += 1
            if dies and self.when != "after":
                if self.when == "amid":
                    torn(path, content)
                raise Died
            write(path, content)
            if dies:
                raise Died

        return written

    @staticmethod
    def torn(path, trial):
        line = trial_log._line(trial)
        with path.open("ab") as file:
            file.write(line[: len(line) // 2])


@pytest.fixture
def search(make_loop):
    """A search with failures among its trials."""

    def evaluate(job):
        if int(job.spec.fingerprint, 16) % 3 == 0 and job.kind == "search":
            return Outcome(None, "diverged")
        return oracle(job)

    def run(folder):
        space_seed = {"trials": 6, "batch_size": 3, "finalists": 1, "repeats": 1, "seed": 1}
        fidelity = FidelityConfig(keep=0.5)
        loop = make_loop(folder, **space_seed, fidelity=fidelity)
        # Finishing out of order fills the file of trials that wait for their turn.
        while (job := loop.next_job()) is not None:
            jobs = [job]
            while (job := loop.next_job()) is not None:
                jobs.append(job)
            for job in reversed(jobs):
                loop.record(job, evaluate(job))

    return run


@pytest.fixture
def make_adapting():
    def make(folder):
        folder.mkdir(exist_ok=True)
        source = MemoizedSource(open_device("madds:1"))
        settings = Settings(target_ms=0.85 * FULL_MS, delta=0.08)
        run_folder = RunFolder(folder)
        plan = AdaptPlan(
            Shrink(SPEC, settings, accuracy=0.8, latency=source),
            latency=source,
            weights=WEIGHTS,
            family=Family(run_folder),
            run_seed=0,
            recipe=Recipe(steps=1, batch_size=16),
            final=lambda reached: [],
            watcher=AdaptWatcher(),
        )
        return adapt_runner(plan, run_folder)

    return make


@pytest.fixture
def adapting(make_adapting):
    return lambda folder: run_serially(make_adapting(folder), tuned)


WEIGHTS = state_bytes(build(SPEC).state_dict())


def tuned(job):
    return Outcome(0.5 + int(job.spec.fingerprint, 16) % 1000 / 2500, weights=b"weights")


def kept(folder):
    """The logs and the family of a run, without clocks."""
    logs = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.suffix == ".jsonl":
            logs[name] = [
                (t.key, t.fingerprint, t.accuracy, t.reward, t.batch) for t in read_trials(path)
            ]
        elif path.is_file() and not name.startswith("weights"):
            logs[name] = path.read_bytes()
    return logs


@pytest.mark.parametrize(
    ("kind", "when"),
    [
        ("search", "before"),
        ("search", "amid"),
        ("search", "after"),
        ("adapting", "amid"),
        pytest.param("adapting", "before", marks=(pytest.mark.slow, pytest.mark.long)),
        pytest.param("adapting", "after", marks=(pytest.mark.slow, pytest.mark.long)),
    ],
)
def test_a_crash_at_any_write_changes_nothing(request, tmp_path, kind, when):
    run = request.getfixturevalue(kind)
    with pytest.MonkeyPatch.context() as patched:
        writes = Writes(patched)
        run(tmp_path / "whole")
    expected = kept(tmp_path / "whole")
    assert writes.done > 10
    for place in range(writes.done):
        folder = tmp_path / "crashed"
        with pytest.MonkeyPatch.context() as patched:
            Writes(patched, dies_at=place, when=when)
            with pytest.raises(Died):
                run(folder)
        run(folder)
        assert kept(folder) == expected, f"write {place}"
        shutil.rmtree(folder)


def test_a_second_crash_while_it_resumes_changes_nothing(search, tmp_path):
    search(tmp_path / "whole")
    expected = kept(tmp_path / "whole")
    for first, second in [(2, 0), (5, 0), (5, 1), (8, 0), (8, 1), (11, 2)]:
        folder = tmp_path / f"{first}-{second}"
        for place in (first, second):
            with pytest.MonkeyPatch.context() as patched:
                Writes(patched, dies_at=place, when="after")
                with pytest.raises(Died):
                    search(folder)
        search(folder)
        assert kept(folder) == expected


class Once:
    """Fails some jobs at their first attempt, as a full memory does, and dies at the `dies_at`th job."""

    def __init__(self, evaluate, *, dies_at=None):
        self.evaluate, self.dies_at = evaluate, dies_at
        self.failed, self.jobs = set(), 0

    def __call__(self, job):
        if self.jobs == self.dies_at:
            self.dies_at = None
            raise Died
        self.jobs += 1
        if int(job.spec.fingerprint, 16) % 3 == 0 and job.key not in self.failed:
            self.failed.add(job.key)
            return Outcome(None, "out of memory")
        return self.evaluate(job)


@pytest.mark.parametrize("kind", ["search", "adapting"])
def test_a_batch_that_the_plan_has_seen_stays_as_it_was(tmp_path, make_loop, make_adapting, kind):
    """What was chosen rests on it: its failures are tried no more, though they might succeed now."""

    def make(folder):
        if kind == "adapting":
            return make_adapting(folder)
        return make_loop(folder, trials=9, batch_size=3, finalists=1, repeats=1, seed=1)

    evaluate = tuned if kind == "adapting" else oracle
    run_serially(make(tmp_path / "whole"), once := Once(evaluate))
    expected = kept(tmp_path / "whole")
    (main,) = (log for name, log in expected.items() if name in ("trials.jsonl", "proposals.jsonl"))
    firsts = [n for n, entry in enumerate(main) if n and entry[-1] != main[n - 1][-1]]
    assert once.failed
    assert len(firsts) >= 2
    for place in firsts:  # the first job of each batch but the first
        folder = tmp_path / f"from-{place}"
        once = Once(evaluate, dies_at=place)
        with pytest.raises(Died):
            run_serially(make(folder), once)
        run_serially(make(folder), once)
        assert kept(folder) == expected, f"job {place}"


def test_failures_of_a_batch_that_was_cut_short_are_tried_again(tmp_path, make_loop):
    def make():
        return make_loop(tmp_path / "run", trials=6, batch_size=3, finalists=1, repeats=1)

    done = []

    def broken(job):
        if len(done) == 2:
            raise Died
        done.append(job.index)
        return Outcome(None, "worker died")

    with pytest.raises(Died):
        run_serially(make(), broken)
    run_serially(loop := make(), oracle)
    assert all(trial.ok for trial in loop.logs.trials)
    assert [trial.index for trial in loop.logs.trials] == list(range(6))


def test_a_batch_that_failed_as_a_whole_stays_once_the_next_has_a_trial_ahead(tmp_path, make_loop):
    """Killed when all that the log has of the next batch is a trial that waits for an earlier one."""

    def make(name):
        return make_loop(tmp_path / name, trials=8, batch_size=2, finalists=1, repeats=1)

    def record_backwards(loop, *, until=None):
        while (job := loop.next_job()) is not None:
            jobs = [job]
            while (job := loop.next_job()) is not None:
                jobs.append(job)
            for job in reversed(jobs):
                failed = job.kind == "search" and job.batch == 1
                loop.record(job, Outcome(None, "diverged") if failed else oracle(job))
                if job.key == until:
                    return

    record_backwards(make("whole"))
    last = ("search", 5)
    record_backwards(make("run"), until=last)
    assert [t.key for t in read_trials(tmp_path / "run" / "trials.ahead.jsonl")] == [last]
    record_backwards(make("run"))
    assert kept(tmp_path / "run") == kept(tmp_path / "whole")
