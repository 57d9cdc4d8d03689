"""How long a search goes on: a time budget, a small space."""

import json

import pytest

from nas.searching.config import load_config
from tests.nas.cli.test_commands import QUICK

NAMES = """\
schema: 1
name: names
bn_eps: 0.001
stem: {out: 8, kernel: 3, stride: 2, act: relu}
blocks:
- {stride: 2, op: sepconv, kernel: 3, se: 0, se_rule: mnasnet, skip: none, out: 8, depth: 1, act: relu}
- {stride: 1, op: [sepconv, mbconv3], kernel: [3, 5], se: 0, se_rule: mnasnet, skip: [none, identity, pool],
   out: [16, 24], depth: [0, 1], act: relu}
head: {conv: 32, hidden: 0, act: relu, dropout: 0.0}
"""


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(
        "trials: 40\nbatch_size: 4\nrecipe: {steps: 2, batch_size: 16}\n"
        "controller: {name: screened, options: {warmup: 4}}\n"
        "finals: {count: 1, epochs_factor: 2, repeats: 1}\n"
    )
    return path


@pytest.mark.parametrize("controller", ["screened", "rnn", "evolution", "uniform"])
def test_a_small_space_ends_the_search_and_no_network_is_trained_twice(
    nas_search, photos, config, space, tmp_path, controller
):
    common = (*QUICK, "--data", photos, "--config", config, "--space", space)
    code, out, err = nas_search(*common, "--controller", controller, "--run-name", "one", "--json")
    assert code == 0, err
    assert "the space has only 8 networks: the search ends after as many trials" in " ".join(
        err.split()
    )
    lines = (tmp_path / "runs/one/trials.jsonl").read_text().splitlines()
    trials = [json.loads(line) for line in lines]
    assert len(trials) == json.loads(out)["trials"] == 8
    trained = [trial["fingerprint"] for trial in trials if trial["time"]["train_s"] > 0]
    assert sorted(trained) == sorted({trial["fingerprint"] for trial in trials})
    if controller == "screened":
        assert len(trained) == 8


def test_a_time_budget_in_place_of_a_number_of_trials(nas_search, photos, config, space, tmp_path):
    common = (*QUICK, "--data", photos, "--config", config, "--budget", "1m")
    code, out, err = nas_search(*common, "--dry-run", "--json", "--verbose")
    assert code == 0, err
    document = json.loads(out)
    assert document["expected_s"] == pytest.approx(60.0, rel=0.1)
    assert "as many trials as fit 1 min 00 s in batches of 4" in " ".join(err.split())
    # A space of eight ends the search before its time is over.
    common = (*common, "--space", space, "--controller", "screened")
    code, out, err = nas_search(*common, "--run-name", "one", "--json")
    assert code == 0, err
    assert json.loads(out)["trials"] == 8
    kept = load_config(tmp_path / "runs/one/config.yaml")
    assert kept.budget_s == 60.0
    spent = json.loads((tmp_path / "runs/one/spent.json").read_text())
    assert (spent["sizes"], spent["trials"]) == ([4, 4], 8)
    assert 0 < spent["search"] < spent["total"]
    code, again, err = nas_search("--resume", tmp_path / "runs/one", "--workers", "0", "--json")
    assert code == 0, err
    assert json.loads(again)["fingerprint"] == json.loads(out)["fingerprint"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            ("--budget", "0.1s"),
            "a budget of 0 s is too short: one batch of 4 and the finalists take about",
        ),
        (("--budget", "soon"), "'soon' is not a duration: give for instance 45m, 1h30m or 90s"),
        (("--budget", "45"), "'45' is not a duration"),
        (("--budget", "0m"), "'0m' is not a duration"),
        (("--budget", "5m", "--trials", 9), "give one of them"),
        (("--proposals", 3), "a batch of 4 cannot be chosen from 3 proposals"),
    ],
)
def test_what_cannot_be_is_said_in_a_line(nas_search, photos, config, tmp_path, options, said):
    code, _, err = nas_search(*QUICK, "--data", photos, "--config", config, *options)
    assert code == 2
    assert said in " ".join(err.split())
    assert not (tmp_path / "runs").exists()


def test_trials_may_begin_with_a_found_network_s_weights(
    nas_search, photos, config, space, tmp_path
):
    common = (*QUICK, "--data", photos, "--config", config, "--space", space, "--trials", 4)
    code, _, err = nas_search(*common, "--run-name", "one")
    assert code == 0, err
    seed = tmp_path / "runs/seed.pt"  # which the second run will replace
    code, out, err = nas_search(*common, "--warm-start", seed, "--run-name", "two", "--json")
    assert code == 0, err
    assert "trials start from" in " ".join(err.split())
    code, again, err = nas_search("--resume", tmp_path / "runs/two", "--workers", "0", "--json")
    assert code == 0, err
    assert json.loads(again) == json.loads(out) | {"run": str(tmp_path / "runs/two")}


def test_a_warm_start_that_does_not_fit_is_said_in_a_line(
    nas_search, photos, config, space, tmp_path
):
    common = (*QUICK, "--data", photos, "--config", config)
    code, _, err = nas_search(*common, "--space", space, "--trials", 4, "--run-name", "one")
    assert code == 0, err
    for path, said in (
        (tmp_path / "runs/one/seed.pt", "give one found in the same space"),
        (tmp_path / "absent.pt", "absent.pt"),
        (config, "config.yaml"),
    ):
        code, _, err = nas_search(*common, "--warm-start", path, "--run-name", "two")
        assert code == 2
        assert said in " ".join(err.split())
        assert len(err.strip().splitlines()) == 1


def test_few_networks_of_many_names_end_the_search_before_its_time(
    nas_search, photos, config, tmp_path
):
    """Half of the 48 sequences leave the second block out, and its skip never means anything."""
    space = tmp_path / "names.yaml"
    space.write_text(NAMES)
    common = (*QUICK, "--data", photos, "--config", config, "--space", space, "--budget", "2m")
    code, _, err = nas_search(*common, "--run-name", "one", "--json")
    assert code == 0, err
    assert "the last 5 batches had no new network, so the search ended before its time" in " ".join(
        err.split()
    )
    lines = (tmp_path / "runs/one/trials.jsonl").read_text().splitlines()
    trials = [json.loads(line) for line in lines]
    assert len({trial["fingerprint"] for trial in trials}) == 9
    assert sum(trial["time"]["train_s"] > 0 for trial in trials) == 9
