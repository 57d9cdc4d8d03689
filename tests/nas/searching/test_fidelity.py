"""Multi-fidelity: who goes on, what is told of the others, and that nothing of it depends on the clock."""

import json
import math
import random
from types import SimpleNamespace

import numpy as np
import pytest

import nas.training.train
from nas.engine.job import Outcome, trial_seed
from nas.engine.runner import RunStoppedError, run_serially
from nas.engine.watching import TensorBoard
from nas.searching.config import FidelityConfig, SearchConfig, config_yaml, load_config
from nas.searching.fidelity import LEAST_PAIRS, LEAST_STEPS, Line, first_recipe, full_lengths
from nas.searching.from_scratch.proxy_task import ProxyTraining
from nas.searching.presets import make_config
from nas.searching.results.estimates import estimates, finalists
from nas.searching.results.metadata import search_metadata
from nas.searching.results.record import RunRecord
from nas.training.recipe import Recipe
from search_spaces import InputError
from tests.nas.conftest import without_times
from tests.nas.searching.test_run_facts import DATA, run

HALF = FidelityConfig(first=0.25, keep=0.5)
WORTH = {"rung": 0.25, "search": 1.0, "final": 4.0, "repeat": 1.0}


def number(job):
    """Of the network, not of its tokens: several of them may be one network."""
    return int(job.spec.fingerprint, 16)


def skill(job):
    return 0.3 * (number(job) % 97) / 97


def curves(job):
    """Some networks begin slower than others, and every training has its luck."""
    slow = 0.02 * (number(job) // 97 % 5) if job.kind == "rung" else 0.0
    length = {"rung": 0.3, "search": 0.5, "repeat": 0.5, "final": 0.6}[job.kind]
    accuracy = length + skill(job) - slow + (job.seed % 1000) / 5e4
    return Outcome(accuracy, train_s=WORTH[job.kind], weights=b"w" if job.kind == "final" else None)


def same_at_both(job):
    return Outcome(0.4 + skill(job), train_s=1.0)


def finish(loop, evaluate=curves):
    run_serially(loop, evaluate)
    return loop


def rungs_of(loop):
    return [trial for trial in loop.logs.trials if trial.kind == "rung"]


class Spy:
    """A controller that remembers what it was told."""

    def __init__(self, inner):
        self.inner, self.told = inner, []

    def ask(self, n):
        return self.inner.ask(n)

    def tell(self, scored):
        self.told.append(list(scored))
        self.inner.tell(scored)


@pytest.fixture
def begin(make_loop, tmp_path):
    """A search with multi-fidelity, in a folder of that name."""

    def made(name="run", **parts):
        return make_loop(tmp_path / name, **{"fidelity": HALF} | parts)

    return made


class TestWhoGoesOn:
    def test_all_train_short_then_the_better_half_in_full(self, begin):
        loop = finish(begin(trials=40, batch_size=10))
        for batch in range(4):
            lines = [trial for trial in loop.logs.trials if trial.batch == batch]
            short = [t for t in lines if t.kind == "rung"]
            full = [t for t in lines if t.kind == "search"]
            assert lines == [*short, *full]
            assert [t.index for t in short] == list(range(10 * batch, 10 * batch + 10))
            known = {t.fingerprint for t in loop.plan.trials if t.batch < batch}
            new = {t.fingerprint: t for t in reversed(short) if t.fingerprint not in known}
            ranked = sorted(new.values(), key=lambda t: (-t.reward, t.index))
            count = max(math.ceil(len(ranked) / 2), LEAST_PAIRS - len(known))
            best = {t.fingerprint for t in ranked[:count]}
            expected = [t.index for t in short if t.fingerprint in best | known]
            assert [t.index for t in full] == expected
            assert all(t.seed == trial_seed(3, t.index) for t in full)
            assert not {t.seed for t in full} & {t.seed for t in short}

    def test_until_a_line_can_be_fitted_more_go_on(self, begin):
        loop = finish(begin(trials=12, batch_size=4))
        full = [sum(t.batch == batch for t in loop.plan.trials) for batch in range(3)]
        assert full == [4, 4, 2]
        assert full_lengths(HALF, 12, batch_size=4) == 0.25 * 12 + 10

    def test_to_keep_all_is_the_plain_search_with_first_parts_beside(
        self, begin, make_loop, tmp_path
    ):
        both = finish(begin(fidelity=FidelityConfig(first=0.5, keep=1.0)))
        plain = finish(make_loop(tmp_path / "plain"))
        assert without_times(both.plan.trials) == without_times(plain.logs.trials)
        assert without_times(both.logs.finals) == without_times(plain.logs.finals)
        assert len(rungs_of(both)) == 23

    @pytest.mark.parametrize("keep", [0.1, 0.3, 0.55])
    def test_of_equal_accuracies_the_plain_search_s_choice_among_those_that_went_on(
        self, begin, make_loop, tmp_path, keep
    ):
        parts = {"trials": 40, "batch_size": 10}
        half = finish(begin(fidelity=FidelityConfig(keep=keep), **parts), same_at_both)
        plain = finish(make_loop(tmp_path / "plain", **parts), same_at_both)
        # The line is the identity, so the controller is told the same and asks for the same.
        assert [t.tokens for t in rungs_of(half)] == [t.tokens for t in plain.logs.trials]
        on = {t.index for t in half.plan.trials}
        assert len(on) < 40
        among = [t for t in plain.logs.trials if t.index in on]
        assert without_times(half.plan.trials) == without_times(among)
        told = estimates(plain.plan.space.arities, among)
        ranked = finalists(
            among, targets_ms=plain.plan.targets_ms, reward=plain.plan.reward, estimates=told
        )
        best = ranked[:2]
        finals = [t.index for t in half.logs.finals if t.kind == "final"]
        assert finals == [t.index for t in best]


class TestWhatTheControllerIsTold:
    def test_rewards_at_full_length_or_those_expected_there(self, begin):
        loop = begin(trials=50, batch_size=10)
        loop.plan.controller = Spy(loop.plan.controller)
        finish(loop)
        assert [len(batch) for batch in loop.plan.controller.told] == [10] * 5
        short = {t.fingerprint: t.accuracy for t in reversed(rungs_of(loop))}
        for number, told in enumerate(loop.plan.controller.told):
            full = {t.fingerprint: t for t in reversed(loop.plan.trials) if t.batch <= number}
            x = [short[name] for name in full]
            slope, intercept = np.polyfit(x, [t.accuracy for t in full.values()], 1)
            asked = [t for t in rungs_of(loop) if t.batch == number]
            assert [tokens for tokens, _ in told] == [t.tokens for t in asked]
            for rung, (_, reward) in zip(asked, told, strict=True):
                if rung.fingerprint in full:
                    assert reward == full[rung.fingerprint].reward
                    continue
                expected = loop.plan.reward(intercept + slope * rung.accuracy, rung.latencies_ms)
                assert reward == pytest.approx(expected)
                assert reward > rung.reward  # curves are higher at full length

    def test_the_line_is_not_bent_by_the_choice_of_who_goes_on(self):
        """Noise on both readings; half is cut off by the first. The truth is full = 0.3 + 0.6 * first."""
        draw = random.Random(0)
        first = [draw.gauss(0.5, 0.1) for _ in range(4000)]
        pairs = [(x, 0.3 + 0.6 * x + draw.gauss(0, 0.05)) for x in first]
        best = sorted(pairs, reverse=True)[:2000]
        line = Line.through(best)
        assert line.slope == pytest.approx(0.6, abs=0.05)
        assert line.at(0.35) == pytest.approx(0.51, abs=0.02)

    def test_few_pairs_give_an_offset_and_none_give_the_reading(self):
        assert Line.through([]).at(0.4) == 0.4
        few = [(0.1 * n, 0.2 + 0.3 * n) for n in range(LEAST_PAIRS - 1)]
        assert Line.through(few).slope == 1.0
        assert Line.through([(0.5, 0.7)] * 20).at(0.4) == pytest.approx(0.6)

    def test_a_falling_line_is_level_and_no_accuracy_leaves_its_range(self):
        falling = Line.through([(0.1 * n, 0.9 - 0.05 * n) for n in range(10)])
        assert falling.at(0.1) == falling.at(0.9) == pytest.approx(0.675)
        steep = Line.through([(0.1 * n, 0.2 * n - 0.4) for n in range(10)])
        assert (steep.at(0.0), steep.at(1.0)) == (0.0, 1.0)


class TestLengthsAreNotMixed:
    """First parts that look better than any full training win nothing."""

    @staticmethod
    def dazzling(job):
        accuracy = (0.95 if job.kind == "rung" else 0.2) + skill(job) / 10
        return Outcome(accuracy, train_s=1.0, weights=b"w" if job.kind == "final" else None)

    def test_finalists_and_estimates_are_of_full_trainings(self, begin, monkeypatch):
        fitted = []

        def spying(arities, trials):
            fitted.extend(trials)
            return estimates(arities, trials)

        monkeypatch.setattr("nas.searching.plan.estimates", spying)
        loop = finish(begin(trials=30, batch_size=10), self.dazzling)
        assert {trial.kind for trial in fitted} == {"search"}
        full = {trial.index for trial in loop.plan.trials}
        assert {trial.index for trial in loop.logs.finals} <= full

    def test_neither_does_a_report_take_them(self, begin):
        loop = finish(begin(trials=30, batch_size=10), self.dazzling)
        from latency import open_device
        from tests.nas.report.test_report import Photos

        facts = search_metadata(
            loop.plan.space,
            [open_device("madds:1").device],
            Photos,
            targets_ms=loop.plan.targets_ms,
            budget=loop.plan.budget,
        )
        (loop.folder / "run.json").write_text(json.dumps(facts.to_dict()))
        record = RunRecord.read(loop.folder)
        assert record.trials == loop.plan.trials
        assert record.rungs == rungs_of(loop)
        assert [t.index for t in record.candidates] == list(range(30))
        assert all(t.kind == "search" for t in [*record.good, *record.front])
        assert set(record.estimates) == {t.index for t in loop.plan.trials}
        assert record.noise.between_networks < 10
        from nas.report.search.report import render

        page = render(loop.folder)
        assert "95.0%" not in page
        assert "trials that trained at full length" in page
        (loop.folder / "finals.jsonl").unlink()
        log = loop.folder / "trials.jsonl"
        log.write_text("".join(log.read_text().splitlines(keepends=True)[:6]))
        assert "No trial has trained at full length yet." in render(loop.folder)

    def test_a_first_part_is_drawn_apart(self, begin, tmp_path):
        board = TensorBoard(tmp_path / "board")
        finish(begin(trials=4, batch_size=4, watcher=board), self.dazzling)
        assert board._best < 0.9
        board.close()


class TestSettings:
    def test_none_by_default_and_halves_where_it_is_named(self, tmp_path):
        assert SearchConfig().fidelity is None
        file = tmp_path / "mine.yaml"
        file.write_text("fidelity: {keep: 0.4}\n")
        config = make_config(preset="quick", file=file)
        assert config.fidelity == FidelityConfig(first=0.25, keep=0.4)
        (tmp_path / "config.yaml").write_text(config_yaml(config))
        assert load_config(tmp_path / "config.yaml") == config
        for bad in ("first: 1", "first: 0", "keep: 0", "keep: 1.1", "rungs: 3"):
            file.write_text(f"fidelity: {{{bad}}}\n")
            with pytest.raises(InputError, match=r"fidelity\."):
                make_config(file=file)

    def test_a_run_keeps_them(self, tmp_path):
        def evaluate(job):
            return Outcome(0.5 + job.index / 100)

        first = run(tmp_path, fidelity=HALF, evaluate=evaluate, trials=12, batch_size=6)
        facts = json.loads((tmp_path / "run.json").read_text())
        assert facts["training"]["fidelity"] == {"first": 0.25, "keep": 0.5}
        result = json.loads((tmp_path / "result.json").read_text())
        assert (result["candidates"], result["trials"]) == (12, len(first.trials))
        table = (tmp_path / "pareto.csv").read_text().splitlines()
        assert len(table) == 1 + len(first.trials) < 13
        assert (tmp_path / "report.html").exists()
        log = (tmp_path / "trials.jsonl").read_bytes()
        parts = {"evaluate": evaluate, "trials": 12, "batch_size": 6}
        for other in (None, FidelityConfig(keep=0.25)):
            with pytest.raises(InputError, match=r"training\.fidelity"):
                run(tmp_path, fidelity=other, **parts)
        assert run(tmp_path, fidelity=HALF, **parts).winner == first.winner
        assert (tmp_path / "trials.jsonl").read_bytes() == log

    def test_a_first_part_is_long_enough_to_rank_networks(self, tmp_path):
        long = Recipe(epochs=5, min_steps=200, batch_size=100)
        assert first_recipe(long, HALF, train_images=10_000).total_steps(10_000) == 125
        assert first_recipe(Recipe(steps=120), HALF, train_images=1000).steps == LEAST_STEPS
        with pytest.raises(InputError, match="the short training would take 50 of 40 steps"):
            first_recipe(Recipe(steps=40), HALF, train_images=1000)
        with pytest.raises(InputError, match="the short training would take 50 of 2 steps"):
            run(tmp_path / "new", fidelity=HALF, evaluate=None)
        assert not (tmp_path / "new").exists()

    def test_full_trainings_that_all_fail_end_a_search_whatever_its_batch(self, begin):
        """Their first parts succeed, one a batch."""

        def bad(job):
            return Outcome(None, "out of memory") if job.kind == "search" else curves(job)

        loop = begin(trials=40, batch_size=1)
        with pytest.raises(RunStoppedError, match="the last 3 networks failed: out of memory"):
            finish(loop, bad)
        assert [t.kind for t in loop.logs.trials] == ["rung", "search"] * 3

    def test_each_length_trains_by_its_recipe(self, monkeypatch, make_loop):
        recipes = {}

        def train(network, dataset, recipe, *, seed, **how):
            recipes[seed] = recipe.steps
            return SimpleNamespace(accuracy=0.5, train_s=1.0)

        monkeypatch.setattr(nas.training.train, "train", train)
        loop = make_loop(trials=1, batch_size=1, finalists=1, repeats=1, fidelity=HALF)
        training = ProxyTraining(
            DATA, DATA, Recipe(steps=8), final_factor=2.0, rung=Recipe(steps=3)
        )
        run_serially(loop, training)
        kinds = {"rung": 3, "search": 8, "final": 16, "repeat": 8}
        assert recipes == {trial_seed(3, 0, kind): steps for kind, steps in kinds.items()}
