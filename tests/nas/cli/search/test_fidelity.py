"""`nas-search --fidelity`: all candidates for a first part, the better half in full."""

import json

import pytest

from nas.searching.config import load_config
from tests.nas.cli.test_commands import QUICK
from tests.nas.engine.test_kill import SPACE


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "config.yaml"
    (tmp_path / "tiny.yaml").write_text(SPACE)
    path.write_text(
        f"space: {tmp_path / 'tiny.yaml'}\n"
        "trials: 10\nbatch_size: 10\nrecipe: {steps: 64, batch_size: 4}\n"
        "controller: evolution\nfinals: {count: 1, epochs_factor: 1, repeats: 0}\n"
    )
    return path


@pytest.mark.slow
def test_the_better_ones_train_in_full(nas_search, photos, config, tmp_path):
    common = (*QUICK, "--data", photos, "--config", config)
    code, out, err = nas_search(*common, "--fidelity", 0.8, "--run-name", "one", "--json")
    assert code == 0, err
    said = " ".join(err.split())
    assert "all train for 80% of the steps, then the better 50% of a batch in full" in said
    folder = tmp_path / "runs/one"
    assert load_config(folder / "config.yaml").fidelity.first == 0.8
    trials = [json.loads(line) for line in (folder / "trials.jsonl").read_text().splitlines()]
    first = {t["index"]: t["reward"] for t in trials if t["kind"] == "rung"}
    full = {t["index"] for t in trials if t["kind"] == "search"}
    assert len(first) == 10
    assert 8 <= len(full) < 10  # of a first batch more go on, for the line between the two lengths
    assert min(first[index] for index in full) >= max(
        reward for index, reward in first.items() if index not in full
    )
    code, _, err = nas_search("--resume", folder, "--fidelity", 0.5)
    assert code == 2
    assert "fidelity cannot change on --resume" in err
    code, again, err = nas_search("--resume", folder, "--json")
    assert code == 0, err
    assert "10 of 10 trials done" in " ".join(err.split())
    assert json.loads(again) | {"run": "runs/one"} == json.loads(out)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (0.5, "the short training would take 50 of 12 steps (at least 50)"),
        (1.5, "fidelity.first: must be less than 1, got 1.5"),
        (0, "fidelity.first must be above 0 in a search from scratch, got 0"),
    ],
)
def test_a_part_that_cannot_be(nas_search, photos, config, tmp_path, value, message):
    config.write_text("recipe: {steps: 12, batch_size: 4}\n")
    common = (*QUICK, "--data", photos, "--config", config, "--fidelity", value)
    code, _, err = nas_search(*common, "--run-name", "one")
    assert code == 2
    assert message in " ".join(err.split())
    assert not (tmp_path / "runs/one").exists()
