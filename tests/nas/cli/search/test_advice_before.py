"""What a plan says of the noise: nothing is known at first, and earlier runs tell it later."""

import json

import pytest

from tests.nas.cli.test_commands import QUICK


@pytest.fixture
def config(tmp_path, searched_space):
    path = tmp_path / "config.yaml"
    path.write_text(
        f"space: {searched_space}\ntrials: 4\nbatch_size: 2\nrecipe: {{steps: 6, batch_size: 16}}\n"
        "finals: {count: 1, epochs_factor: 2, repeats: 2}\n"
    )
    return path


@pytest.mark.slow
def test_a_second_search_is_told_what_the_first_one_showed(nas_search, photos, config, tmp_path):
    options = [*QUICK, "--data", photos, "--config", config, "--verbose"]
    code, _, err = nas_search(*options, "--run-name", "one")
    assert code == 0, err
    said = " ".join(err.split())
    assert "accuracies are uncertain by up to" in said
    assert "2 trials train again at the end, for the noise" in said
    assert "held-out images, an accuracy has a standard error of up to" in said  # a handful of them
    longer = "Train longer before running more trials: 6 steps per trial are too few"
    assert longer in said
    assert "best use of time" not in said
    _, out, err = nas_search(*options, "--dry-run", "--json", "--trials", "8")
    plan = " ".join(err.split())
    assert ", in one" in plan
    assert longer in plan
    advice = json.loads(out)["advice"]
    assert advice["pairs"] == 2
    assert advice["train_longer"].startswith(longer)
    assert advice["turn_trials"] is None
    other = tmp_path / "other.yaml"
    other.write_text(config.read_text().replace("steps: 6", "steps: 7"))
    _, out, _ = nas_search(*QUICK, "--data", photos, "--config", other, "--dry-run", "--json")
    assert json.loads(out)["advice"] is None
