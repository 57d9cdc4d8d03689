"""Advice on the number of trials: against closed forms, and against searches that are simulated."""

import json
import math
from statistics import NormalDist

import numpy as np
import pytest

from latency import Device, Latency
from nas.checkpoints.torch_files import weights_digest
from nas.data.images import ArraySplit, Dataset
from nas.engine.folder.run_metadata import DataMetadata
from nas.searching.config import ParentConfig, SearchConfig
from nas.searching.planning.earlier_runs import earlier_runs
from nas.searching.results.metadata import ParentMetadata
from nas.statistics.advice import INTERVAL, MOST_TRIALS, Advice, expected_best
from nas.statistics.noise import Noise
from nas.training.recipe import Recipe
from search_spaces import load_space
from tests.nas.small_parent import small_parent

DRAWS = 20_000


def simulated(advice: Advice, trials: int, *, readings: int = 1) -> float:
    """The mean of the own accuracies of those that read best, in points above the mean network."""
    luck = np.random.default_rng(trials)
    own = advice.spread * luck.standard_normal((DRAWS, trials))
    noise = advice.noise / math.sqrt(readings) * luck.standard_normal((DRAWS, trials))
    best = (own + noise).argmax(axis=1)
    return float(own[np.arange(DRAWS), best].mean())


class TestExpectedBest:
    @pytest.mark.parametrize(
        ("trials", "exact"),
        [
            (1, 0.0),
            (2, 1 / math.sqrt(math.pi)),
            (3, 3 / (2 * math.sqrt(math.pi))),
            (4, 6 * math.atan(math.sqrt(2)) / math.pi**1.5),
            (5, 5 / (4 * math.sqrt(math.pi)) * (1 + 6 / math.pi * math.asin(1 / 3))),
        ],
    )
    def test_against_closed_forms(self, trials, exact):
        assert expected_best(trials) == pytest.approx(exact, abs=0.03)

    @pytest.mark.parametrize("trials", [5, 10, 100, 1000, MOST_TRIALS])
    def test_against_the_integral(self, trials):
        x = np.linspace(0, 10, 20_001)
        below = np.array([NormalDist().cdf(value) for value in x])
        exact = (1 - below**trials - (1 - below) ** trials).mean() * 10
        assert expected_best(trials) == pytest.approx(exact, abs=0.02)

    def test_no_trials_are_refused(self):
        with pytest.raises(ValueError, match="at least 1, got 0"):
            expected_best(0)


class TestWhereLittleIsKnown:
    @pytest.mark.parametrize("pairs", [1, 2, 3])
    @pytest.mark.parametrize("spread", [0.0, 1.5])
    def test_from_few_pairs_no_number_of_trials_is_told(self, pairs, spread):
        advice = Advice(2.0, spread, pairs)
        for text in (advice.before(100), advice.after(100)):
            assert "No advice on the number of trials" in text
            assert f"from only {pairs} pair" in text
            assert "best use" not in text
            assert "100" not in text
        told = advice.to_dict(100)
        assert told["turn_trials"] is told["enough_trials"] is told["expected_points"] is None
        assert told["pairs"] == pairs

    @pytest.mark.parametrize("pairs", [1, 2, 3])
    def test_its_interval_is_that_of_simulated_pairs(self, pairs):
        luck = np.random.default_rng(pairs)
        readings = luck.standard_normal((DRAWS, pairs, 2))
        noise = np.sqrt(((readings[..., 0] - readings[..., 1]) ** 2 / 2).mean(axis=1))
        low, high = (noise * part for part in INTERVAL[pairs])
        assert ((low <= 1.0) & (high >= 1.0)).mean() == pytest.approx(0.95, abs=0.01)
        assert (low > 1.0).mean() == pytest.approx(0.025, abs=0.005)

    def test_a_reason_to_train_longer_comes_first(self):
        advice = Advice(2.0, 1.5, 8)
        assert advice.before(100, "Train longer") == "Train longer"
        assert advice.after(100, "Train longer") == "Train longer."
        assert advice.to_dict(100, "Train longer")["turn_trials"] is None
        assert advice.to_dict(100)["train_longer"] is None


class TestAdvice:
    @pytest.mark.parametrize("trials", [4, 16, 100])
    @pytest.mark.parametrize("noise", [0.0, 0.5, 2.0])
    def test_what_is_found_is_what_simulated_searches_find(self, noise, trials):
        advice = Advice(noise, spread=1.5, pairs=4)
        assert advice.found(trials) == pytest.approx(simulated(advice, trials), abs=0.05)

    def test_a_reading_promises_more_by_its_unreliability(self):
        advice = Advice(noise=1.0, spread=1.0, pairs=4)
        luck = np.random.default_rng(0)
        readings = math.sqrt(2) * luck.standard_normal((DRAWS, 50)).max(axis=1).mean()
        assert advice.found(50) / advice.reliability == pytest.approx(readings, abs=0.05)

    def test_noise_is_taken_out_of_the_spread(self):
        assert Advice.of(Noise(5.0, 3.0, 4)) == Advice(noise=3.0, spread=4.0, pairs=4)
        assert Advice.of(Noise(2.0, 3.0, 4)).spread == 0

    def test_noise_drawn_and_measured_gives_the_spread_back(self):
        luck = np.random.default_rng(0)
        readings = 2.0 * luck.standard_normal(DRAWS) + luck.standard_normal(DRAWS)
        advice = Advice.of(Noise(float(readings.std(ddof=1)), 1.0, 4))
        assert advice.spread == pytest.approx(2.0, abs=0.05)

    @pytest.mark.parametrize("noise", [0.3, 1.0, 1.4, 2.0, 5.0])
    def test_the_limits_by_trying_every_number(self, noise):
        advice = Advice(noise, spread=1.5, pairs=4)
        twice = Advice(noise / math.sqrt(2), spread=1.5, pairs=4)
        least = max(noise / 4, 0.1)
        numbers = range(1, 1000)
        enough = next((n for n in numbers if advice.gain(n, n) < least), None)
        turn = next((n for n in numbers if twice.found(n) > advice.found(2 * n)), None)
        assert (advice.enough if advice.enough < 1000 else None) == enough
        assert (advice.turn if advice.turn < 1000 else None) == turn

    @pytest.mark.parametrize(("trials", "better"), [(4, False), (40, True)])
    def test_on_either_side_of_the_turn_simulated_searches_agree(self, trials, better):
        advice = Advice(noise=2.0, spread=1.5, pairs=4)
        assert 4 < advice.turn < 40
        twice_each = simulated(advice, trials, readings=2)
        assert (twice_each > simulated(advice, 2 * trials)) is better

    def test_less_noise_never_asks_for_fewer_trials(self):
        turns = [Advice(noise, 1.0, 4).turn for noise in (4.0, 2.0, 1.0, 0.7, 0.5, 0.1, 0.0)]
        assert turns == sorted(turns)
        assert turns[-1] == MOST_TRIALS

    def test_the_gain_of_a_further_batch(self):
        advice = Advice(noise=1.0, spread=1.0, pairs=4)
        assert advice.gain(50, 10) == advice.found(60) - advice.found(50) > 0
        gains = [advice.gain(n, n) for n in (1, 2, 4, 8, 16, 32)]
        assert gains == sorted(gains, reverse=True)

    def test_its_sentences(self):
        few, many = (Advice(2.0, 1.5, 4).before(trials) for trials in (5, 100))
        assert "best of 5 trials is expected to be 1.1 points above the mean network" in few
        assert "Up to about 10 trials" in few
        assert "Beyond about 10 trials, less noise" in many
        assert "less than a quarter of the noise" in many
        assert "allows this many trials" in Advice(0.1, 1.5, 4).after(100)
        assert "from 4 pairs)" in Advice(0.1, 1.5, 4).after(100)
        assert "hides" in Advice(1.0, 0.0, 4).after(100)

    def test_it_is_plain_data(self):
        told = Advice(1.0, 1.5, 4).to_dict(100)
        assert json.loads(json.dumps(told)) == told
        assert told["turn_trials"] == 142


def images() -> Dataset:
    split = ArraySplit(np.zeros((4, 3, 8, 8), np.uint8), np.zeros(4, np.int64))
    return Dataset("some", ("a", "b"), split, split, split, 8, (0, 0, 0), (1, 1, 1))


SPACE = load_space("mnasnet", resolution=32, classes=2)
CONFIG = SearchConfig(recipe=Recipe(steps=7))


def write_run(root, name, *, accuracies=(0.5, 0.6, 0.7), repeat=0.52, **training):
    """A run's folder as a search leaves it."""
    folder = root / name
    folder.mkdir(parents=True)
    facts = {
        "space": SPACE.name,
        "labels": [[label, list(choices)] for label, choices in SPACE.labels],
        "device": {"name": "lab", "identity": "lab-1", "estimate": False},
        "target_ms": 1.0,
        "budget": {"trials": 3, "batch_size": 3, "finalists": 0, "repeats": 1, "seed": 0},
        "data": DataMetadata.of(images()).to_dict(),
        "training": {
            "recipe": CONFIG.recipe.model_dump(),
            "finals_factor": 4.0,
            "warm_start": [],
        }
        | training,
    }
    (folder / "run.json").write_text(json.dumps(facts))
    latency = Latency.exactly(1.0, Device("lab", "lab-1")).to_dict()

    def line(index, kind, accuracy):
        trial = {
            "index": index, "kind": kind, "batch": 0, "tokens": [0] * len(SPACE.arities),
            "fingerprint": f"net{index}", "seed": 0, "accuracy": accuracy, "latency": latency,
            "reward": accuracy, "params": 1, "madds": 1, "error": None,
            "time": {"train_s": 1.0, "finished": ""},
        }  # fmt: skip
        return json.dumps(trial) + "\n"

    trials = "".join(line(index, "search", value) for index, value in enumerate(accuracies))
    (folder / "trials.jsonl").write_text(trials)
    if repeat is not None:
        (folder / "finals.jsonl").write_text(line(0, "repeat", repeat))
    return folder


def told(root, config=CONFIG):
    return earlier_runs(root, SPACE, images(), config)


class TestEarlierRuns:
    def test_a_run_alike_tells_its_noise(self, tmp_path):
        write_run(tmp_path, "one")
        earlier = told(tmp_path)
        assert earlier.noise.between_networks == pytest.approx(10.0)
        assert earlier.noise.between_seeds == pytest.approx(math.sqrt(2.0))
        assert (earlier.noise.pairs, earlier.names, earlier.damaged) == (1, ("one",), ())

    def test_several_are_pooled(self, tmp_path):
        write_run(tmp_path, "one", repeat=0.5)
        write_run(tmp_path, "two", repeat=0.54)
        earlier = told(tmp_path)
        assert earlier.noise.pairs == 2
        assert earlier.noise.between_seeds == pytest.approx(2.0)  # of variances 0 and 8
        assert sorted(earlier.names) == ["one", "two"]

    def test_a_run_repeated_with_its_seed_tells_nothing_new(self, tmp_path):
        write_run(tmp_path, "one")
        write_run(tmp_path, "copy")
        earlier = told(tmp_path)
        assert earlier.noise.pairs == 1
        assert len(earlier.names) == 1

    @pytest.mark.parametrize(
        "training",
        [
            {"recipe": Recipe(steps=8).model_dump()},
            {"warm_start": [{"tokens": [0], "weights": "digest"}]},
            {"fidelity": {"first": 0.25, "keep": 0.5}},
        ],
    )
    def test_others_are_not_asked(self, tmp_path, training):
        write_run(tmp_path, "other", **training)
        assert told(tmp_path).noise is None

    @pytest.mark.parametrize(
        ("weights", "ranking_images", "counts"),
        [(None, 1000, True), ("other", 1000, False), (None, 0, False)],
    )
    def test_of_searches_from_a_parent_only_those_of_the_same_one_count(
        self, tmp_path, weights, ranking_images, counts
    ):
        parent = small_parent()
        path = write_run(tmp_path, "one") / "run.json"
        begun = ParentMetadata(
            fingerprint="x", weights=weights or weights_digest(parent.weights),
            final_recipe=CONFIG.recipe, ranking_images=ranking_images, temperature=2.0,
            teacher_weight=0.5,
        )  # fmt: skip
        path.write_text(json.dumps(json.loads(path.read_text()) | {"parent": begun.to_dict()}))
        config = CONFIG.model_copy(update={"parent": ParentConfig(path="some.pt")})
        found = earlier_runs(tmp_path, SPACE, images(), config, parent=parent, held_out=77)
        assert (found.noise is not None) == counts
        if counts:
            assert found.evidence.held_out == 77
        assert told(tmp_path).noise is None  # from scratch

    def test_nor_do_others_count_that_trained_on_other_images(self, tmp_path):
        path = write_run(tmp_path, "other") / "run.json"
        path.write_text(path.read_text().replace('"name": "some"', '"name": "else"'))
        assert told(tmp_path).noise is None

    def test_a_setting_that_a_run_did_not_know_was_as_by_default(self, tmp_path):
        old = CONFIG.recipe.model_dump()
        del old["average_fraction"]
        write_run(tmp_path, "old", recipe=old)
        assert told(tmp_path).noise is not None
        average = CONFIG.recipe.model_copy(update={"average_fraction": 0.2})
        assert told(tmp_path, SearchConfig(recipe=average)).noise is None

    def test_without_repeats_or_runs_nothing_is_known(self, tmp_path):
        write_run(tmp_path / "runs", "one", repeat=None)
        assert told(tmp_path / "runs").noise is None
        assert told(tmp_path / "none").noise is None

    def test_a_search_with_inherited_weights_is_another_matter(self, tmp_path):
        write_run(tmp_path, "one")
        assert told(tmp_path, SearchConfig(recipe=Recipe(steps=7), warm_start=("x",))).noise is None

    def test_a_damaged_run_is_named_and_does_not_stop_anything(self, tmp_path):
        write_run(tmp_path, "one")
        (write_run(tmp_path, "two") / "trials.jsonl").write_text("{}\n")
        (write_run(tmp_path, "three") / "run.json").write_text("{")
        earlier = told(tmp_path)
        assert earlier.names == ("one",)
        assert len(earlier.damaged) == 2
        assert all("\n" not in sentence for sentence in earlier.damaged)
        assert "trials.jsonl, line 1" in " ".join(earlier.damaged)
