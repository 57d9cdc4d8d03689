"""Ablations of searches, as they are written."""

import pytest

from nas.ablating.reading import read_ablation
from nas.ablating.search_plan import SearchesPlan
from search_spaces import InputError


def ablation(tmp_path, text):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    return read_ablation(str(path))[0]


def test_the_papers_searches():
    controllers = read_ablation("controllers")[0].configs({})
    assert [config.controller.name for config in controllers.values()] == [
        "screened", "rnn", "evolution", "uniform",
    ]  # fmt: skip
    rewards = read_ablation("rewards")[0].configs({"trials": 7})
    found = {name: config.reward(0.5, 2.0, target_ms=1.0) for name, config in rewards.items()}
    assert found == {
        "w = -0.15": pytest.approx(0.5 * 2**-0.15),
        "w = -0.07": pytest.approx(0.5 * 2**-0.07),
        "hard": pytest.approx(0.25),
        "absolute": pytest.approx(0.4),
    }
    assert {(config.trials, config.latency_warmup) for config in rewards.values()} == {(7, None)}


def test_settings_of_a_search_precede_those_in_common_and_those_given(tmp_path):
    mine = ablation(
        tmp_path,
        "about: a\nsettings: {trials: 5, batch_size: 3}\nsearches:\n- {name: x}\n"
        "- {name: y, settings: {trials: 9}}\n",
    )
    configs = mine.configs({"trials": 6})
    assert [(one.trials, one.batch_size) for one in configs.values()] == [(6, 3), (9, 3)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("about: a\nsearches: [{name: x}]\n", "searches"),
        ("about: a\nsearches: [{name: x}, {name: x}]\n", "two searches are called 'x'"),
        ("about: a\nsearches: [{name: x}, {name: y, settings: {seed: 3}}]\n", "--seeds"),
        ("about: a\nsearches: [{name: x}, {nam: y}]\n", r"searches\.1\.nam"),
        ("about: a\nsearches: [{name: x}, {name: y}]\nnetworks: []\n", "networks"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        ablation(tmp_path, text)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("{}", "x and y have the same settings"),
        ("{trial: 3}", "y: settings: unknown"),
        ("{controller: {name: rnn, options: 3}}", "y: settings: controller.options"),
    ],
)
def test_wrong_settings_name_their_search(tmp_path, settings, message):
    mine = ablation(
        tmp_path, f"about: a\nsearches:\n- {{name: x}}\n- {{name: y, settings: {settings}}}\n"
    )
    with pytest.raises(InputError, match=message):
        mine.configs({})


def test_a_plan_is_kept_and_runs_every_seed_of_all_before_the_next(tmp_path):
    configs = read_ablation("rewards")[0].configs({})
    plan = SearchesPlan("about", configs, (4, 5))
    plan.write(tmp_path)
    again = SearchesPlan.read(tmp_path)
    assert list(again) == list(plan)
    assert [one.seed for one in plan] == [4] * 4 + [5] * 4
    assert [one.config.seed for one in plan] == [4] * 4 + [5] * 4
    assert next(iter(plan)).folder == "1-w-0-15-seed-4"
    assert len({one.folder for one in plan}) == len(plan) == 8


def test_a_damaged_plan_is_named(tmp_path):
    (tmp_path / "searches.json").write_text('{"about": 1, "searches": []}')
    with pytest.raises(InputError, match=r"searches\.json is damaged"):
        SearchesPlan.read(tmp_path)


def test_all_searches_have_the_target_of_the_first():
    first, other, *_ = SearchesPlan("", read_ablation("rewards")[0].configs({}), (0,))
    settled = first.config.model_copy(update={"target_ms": 3.5})
    assert other.with_targets_of(settled).config.target_ms == 3.5
    own = other.config.model_copy(update={"target_ms": 2.0})
    named = type(other)(other.name, other.seed, other.folder, own)
    assert named.with_targets_of(settled).config.target_ms == 2.0
