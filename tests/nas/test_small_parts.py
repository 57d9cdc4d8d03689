import math

import pytest
import yaml

from latency import Device, Latency
from nas.engine.trial import Trial
from nas.searching.config import SearchConfig, config_yaml, load_config
from nas.searching.presets import PRESETS, make_config
from nas.searching.results.search_result import choose_winner
from nas.searching.results.table import frame, pareto_front
from nas.searching.reward import Reward, absolute_reward, power_reward
from nas.searching.sizes import Sizes
from nas.statistics.noise import (
    Noise,
    beside_winner,
    faster_finalist,
    fastest_of_the_best,
    may_equal,
    measure_noise,
)
from search_spaces import InputError

LAB = Device("lab", "lab-1")


def trial(index, accuracy, ms, *, kind="search", fingerprint=None, reward=None):
    return Trial(
        index=index,
        kind=kind,
        batch=0,
        tokens=(index,),
        fingerprint=fingerprint or f"net{index}",
        seed=index,
        accuracy=accuracy,
        latencies=(Latency.exactly(ms, LAB),),
        reward=reward if reward is not None else (accuracy or 0.0),
        params=1,
        madds=1,
        error=None if accuracy is not None else "diverged",
        time={},
    )


class TestTable:
    def test_finalists_have_their_longer_accuracy_and_one_is_the_winner(self):
        trials = [trial(0, 0.5, 1.0), trial(1, 0.7, 2.0), trial(2, None, 3.0)]
        finals = [trial(1, 0.9, 2.0, kind="final"), trial(0, 0.4, 1.0, kind="repeat")]
        table = frame(trials, sizes=Sizes(32, 64), finals=finals, winner=finals[0])
        assert table["longer_accuracy"].fillna(-1).tolist() == [-1, 0.9, -1]
        assert table["winner"].tolist() == [False, True, False]
        alone = frame(trials, sizes=Sizes(32, 64))
        assert not alone["winner"].any()
        assert alone["longer_accuracy"].isna().all()


class TestReward:
    def test_against_the_papers_equation(self):
        # MnasNet, 4.2: doubling the latency is worth about 5% relative accuracy at w = -0.07.
        slow = power_reward(0.8, 160, target_ms=80, alpha=-0.07, beta=-0.07)
        assert slow / 0.8 == pytest.approx(0.953, abs=1e-3)

    def test_soft_is_smooth_and_hard_is_a_limit(self):
        soft, hard = Reward(), Reward(kind="hard")
        assert soft(0.7, 30, target_ms=60) == pytest.approx(0.7 * 0.5**-0.15)
        assert soft(0.7, 120, target_ms=60) == pytest.approx(0.7 * 2**-0.15)
        assert hard(0.7, 30, target_ms=60) == 0.7
        assert hard(0.7, 120, target_ms=60) == pytest.approx(0.35)

    def test_absolute_is_symmetric_about_the_target(self):
        reward = Reward(kind="absolute")
        assert reward(0.7, 66, target_ms=60) == pytest.approx(0.69)
        assert reward(0.7, 54, target_ms=60) == pytest.approx(0.69)
        assert absolute_reward(0.7, 60, target_ms=60, beta=-0.5) == 0.7

    def test_exponents_of_ones_own(self):
        reward = Reward(alpha=0.0, beta=-0.5)
        assert reward(0.7, 30, target_ms=60) == 0.7
        assert reward(0.7, 240, target_ms=60) == pytest.approx(0.35)

    def test_bad_exponents(self):
        with pytest.raises(ValueError, match="alpha"):
            Reward(kind="absolute", alpha=-1)
        with pytest.raises(ValueError, match="beta"):
            Reward(beta=0.5)


class TestResults:
    def test_the_most_accurate_within_the_target_wins(self):
        finals = [
            trial(0, 0.80, 50, kind="final"),
            trial(1, 0.85, 59, kind="final"),
            trial(2, 0.90, 61, kind="final"),
            trial(3, 0.99, 10, kind="repeat"),
        ]
        assert choose_winner(finals, targets_ms=[60]).index == 1

    def test_without_any_within_the_best_reward_wins(self):
        finals = [
            trial(0, 0.9, 90, kind="final", reward=0.5),
            trial(1, 0.8, 70, kind="final", reward=0.7),
        ]
        assert choose_winner(finals, targets_ms=[60]).index == 1

    def test_no_winner_among_failures(self):
        assert choose_winner([trial(0, None, 5, kind="final")], targets_ms=[60]) is None
        assert choose_winner([], targets_ms=[60]) is None

    def test_the_front_by_brute_force(self):
        import random

        rng = random.Random(0)
        trials = [trial(i, rng.choice([None, rng.random()]), rng.randint(1, 9)) for i in range(60)]
        good = [t for t in trials if t.ok]
        beaten = {
            t.index
            for t in good
            for o in good
            if (o.latency_ms <= t.latency_ms and o.accuracy > t.accuracy)
            or (o.latency_ms < t.latency_ms and o.accuracy >= t.accuracy)
        }
        assert {t.index for t in pareto_front(trials)} == {t.index for t in good} - beaten

    def test_the_frame_has_a_row_a_trial(self):
        table = frame([trial(0, 0.5, 3), trial(1, None, 4), trial(2, 0.7, 9)], sizes=Sizes(32, 64))
        assert list(table["trial"]) == [0, 1, 2]
        assert list(table["pareto"]) == [True, False, True]
        assert set(table["accuracy_px"]) == {32}
        assert set(table["latency_px"]) == {64}


class TestNoise:
    def test_two_readings_of_each_network(self):
        trials = [trial(0, 0.50, 9), trial(1, 0.60, 8), trial(2, 0.70, 7)]
        again = [trial(0, 0.52, 9, kind="repeat"), trial(1, 0.58, 8, kind="repeat")]
        noise = measure_noise(trials, again)
        assert noise.between_seeds == pytest.approx(math.sqrt((2**2 / 2 + 2**2 / 2) / 2))
        assert noise.between_networks == pytest.approx(10.0)
        assert noise.pairs == 2
        assert noise.differ
        assert "differ by more than the noise" in noise.sentence()

    def test_a_flat_space_is_called_flat(self):
        trials = [trial(i, 0.80 + 0.001 * i, 9 - i) for i in range(4)]
        noise = measure_noise(trials, [trial(0, 0.82, 9, kind="repeat")])
        assert not noise.differ
        assert "fastest" in noise.sentence()
        assert fastest_of_the_best(trials, noise).index == 3

    def test_the_fastest_of_the_best_is_not_worse_than_noise_explains(self):
        trials = [trial(0, 0.90, 9), trial(1, 0.89, 5), trial(2, 0.60, 1)]
        noise = measure_noise(trials, [trial(0, 0.91, 9, kind="repeat")])
        assert fastest_of_the_best(trials, noise).index == 1

    @pytest.mark.parametrize(
        ("accuracies", "found"),
        [((0.90, 0.89, 0.60), 1), ((0.90, 0.88, 0.60), None), ((0.90, 0.92, 0.89), 2)],
    )
    def test_a_faster_finalist_that_chance_does_not_tell_from_the_winner(self, accuracies, found):
        """The margin is 1.41 points; one that is more accurate than the winner is over the target."""
        noise = Noise(between_networks=5.0, between_seeds=0.5, pairs=2)
        finals = [
            trial(i, a, ms, kind="final")
            for i, (a, ms) in enumerate(zip(accuracies, (9, 5, 1), strict=True))
        ]
        fast = faster_finalist([*finals, trial(3, 0.9, 0.5, kind="repeat")], finals[0], noise)
        assert (fast and fast.index) == found
        if fast is not None:
            assert beside_winner(fast, "5 ms", noise) == (
                f"Finalist {found} is faster, at 5 ms, and less accurate than the winner by no "
                "more than two trainings of one network may differ (1.4 points)."
            )

    @pytest.mark.parametrize(
        ("kind", "longer", "expected"),
        [
            ("final", 0.89, True),
            ("final", 0.88, False),
            ("rival", 0.88, False),
            ("rival", None, False),
        ],
    )
    def test_a_trial_that_its_longer_training_outdoes_is_not_as_accurate(
        self, kind, longer, expected
    ):
        noise = Noise(between_networks=0.5, between_seeds=0.5, pairs=2)  # the margin is 1.41 points
        winner = trial(5, 0.90, 9, kind=kind)
        finals = [winner] + ([] if longer is None else [trial(1, longer, 5, kind="final")])
        assert may_equal(trial(1, 0.95, 5), finals, winner, noise) == expected

    def test_nothing_to_say_without_repeats(self):
        assert (
            measure_noise([trial(0, 0.5, 1), trial(1, 0.6, 1)], [trial(0, 0.5, 1, kind="final")])
            is None
        )


class TestConfig:
    def test_later_settings_win_key_by_key(self, tmp_path):
        file = tmp_path / "mine.yaml"
        file.write_text("trials: 50\nrecipe: {learning_rate: 2e-3}\ndata: {source: here}\n")
        config = make_config(preset="quick", file=file, overrides={"trials": 60, "seed": 5})
        assert config.trials == 60
        assert config.recipe.learning_rate == 2e-3
        assert config.batch_size == PRESETS["quick"]["batch_size"]
        assert config.data.source == "here"
        assert config.seed == 5

    def test_one_length_of_training_replaces_the_other(self, tmp_path):
        file = tmp_path / "mine.yaml"
        file.write_text("recipe: {steps: 7}\n")
        recipe = make_config(preset="quick", file=file).recipe
        assert (recipe.steps, recipe.epochs) == (7, None)
        assert recipe.augment.pad_fraction == 0.0

    def test_what_is_kept_reads_back(self, tmp_path):
        config = make_config(preset="quick", overrides={"target_ms": 12.5})
        (tmp_path / "config.yaml").write_text(config_yaml(config))
        assert load_config(tmp_path / "config.yaml") == config

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("trails: 5", "unknown key 'trails'"),
            ("recipe: {lr: 1}", r"unknown key 'recipe\.lr'"),
            ("trials: many", "trials: .*got 'many'"),
            ("trials: 0", "trials"),
            ("target_ms: -5", "target_ms: .*greater than 0, got -5"),
            ("target_ms: .nan", "target_ms"),
            ("target_ms: .inf", "target_ms"),
            ("reward: {kind: best}", r"reward\.kind"),
            ("data: [1, 2]", "data"),
            ("schema: 9", "schema must be 1, got 9"),
            ("just words", "expected keys and values"),
            ("trials: [", "not YAML"),
        ],
    )
    def test_bad_files_are_refused_by_name(self, tmp_path, text, message):
        file = tmp_path / "mine.yaml"
        file.write_text(text)
        with pytest.raises(InputError, match=message) as caught:
            make_config(file=file)
        assert str(file) in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_unknown_presets(self):
        with pytest.raises(InputError, match="unknown preset 'fast': known are quick, standard"):
            make_config(preset="fast")

    def test_every_preset_is_valid(self):
        for name in PRESETS:
            assert make_config(preset=name).preset == name
        assert yaml.safe_load(config_yaml(SearchConfig()))["space"] == "mnasnet"


def test_another_controller_does_not_get_the_preset_s_options():
    assert make_config(preset="quick").controller.options == {"warmup": 4}
    for other in ("evolution", {"name": "evolution"}):
        config = make_config(preset="quick", overrides={"controller": other})
        assert (config.controller.name, config.controller.options) == ("evolution", {})
    more = make_config(preset="quick", overrides={"controller": {"options": {"proposals": 50}}})
    assert more.controller.options == {"warmup": 4, "proposals": 50}


def test_the_paper_s_plain_procedure_is_a_preset():
    assert make_config(preset="paper").controller.name == "rnn"
    assert make_config(preset="standard").controller.name == "screened"
