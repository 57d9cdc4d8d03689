"""`nas-search --policy`."""

import json

import pytest

from controllers import make_controller
from nas.checkpoints.checkpoint import checkpoint_bytes
from nas.engine.folder.run_folder import RunFolder
from nas.searching.config import load_config
from nas.searching.presets import make_config
from nas.searching.run_policy import RunPolicy, origin_of
from search_spaces import load_space
from tests.nas.cli.conftest import SEARCHED_SPACE, SMALL_SPACE
from tests.nas.small_parent import small_parent

SETTINGS = """
recipe: {steps: 2, batch_size: 16}
finals: {count: 1, repeats: 1, epochs_factor: 1}
controller: {name: rnn, options: {warmup: 2}}
"""
FROM_PARENT = """
recipe: {steps: 2, batch_size: 16}
parent: {recipe: {steps: 3, batch_size: 16}}
finals: {count: 1, repeats: 1, recipe: {steps: 3, batch_size: 16}}
"""


@pytest.fixture
def search(nas_search, photos, tmp_path):
    (tmp_path / "mine.yaml").write_text(SETTINGS)
    (tmp_path / "searched.yaml").write_text(SEARCHED_SPACE)
    (tmp_path / "small.yaml").write_text(SMALL_SPACE)
    options = (
        "--config", "mine.yaml", "--data", photos, "--device", "madds:1", "--target-ms", 10,
        "--trials", 4, "--batch-size", 2, "--workers", 0, "--resolution", 32,
    )  # fmt: skip
    return lambda *more, space="searched.yaml": nas_search(*options, "--space", space, *more)


@pytest.fixture
def left(search, tmp_path):
    """What a run has left in its folder: a policy, whose content is returned, and a network."""
    space = load_space(str(tmp_path / "searched.yaml"))
    controller = make_controller("rnn", space.arities, seed=0)
    run = RunFolder(tmp_path / "runs" / "first")
    origin = origin_of(run, space, "photos", [("madds:1", 10.0)])
    content = RunPolicy(controller.saved_policy(), origin).to_bytes()
    run.path.mkdir(parents=True)
    (run / "policy.pt").write_bytes(content)
    (run / "seed.pt").write_bytes(checkpoint_bytes(small_parent()))
    return content


@pytest.fixture
def first(search):
    status, _, err = search("--run-name", "first")
    assert status == 0, err
    return "runs/first"


def test_a_search_begins_with_anothers_policy_and_resumes_without_its_file(
    search, nas_search, first, tmp_path
):
    status, _, err = search("--policy", first, "--dry-run")
    assert status == 0, err
    said = " ".join(err.split())
    assert "policy the controller begins with that of run first: 4 trials on photos, for" in said
    status, out, err = search("--policy", first, "--run-name", "one", "--json")
    assert status == 0, err
    run = tmp_path / "runs" / "one"
    assert load_config(run / "config.yaml").controller.policy == "runs/one/first-policy.pt"
    copy, given = (RunPolicy.read(p) for p in (run / "first-policy.pt", tmp_path / first))
    assert copy.metadata() == given.metadata()
    log = (run / "trials.jsonl").read_text().splitlines()
    (run / "trials.jsonl").write_text("\n".join(log[:3]) + "\n")
    (run / "finals.jsonl").unlink()
    (tmp_path / first / "policy.pt").unlink()
    moved = run.rename(run.with_name("two"))
    status, again, err = nas_search("--resume", moved, "--workers", 0, "--json")
    assert status == 0, err
    assert json.loads(again)["fingerprint"] == json.loads(out)["fingerprint"]
    tokens = [json.loads(line)["tokens"] for line in log]
    kept = (moved / "trials.jsonl").read_text().splitlines()
    assert [json.loads(line)["tokens"] for line in kept] == tokens


@pytest.mark.parametrize(
    ("options", "space", "problem"),
    [
        (("--policy", "none.pt"), "searched.yaml", "none.pt: No such file or directory: give the"),
        (("--policy", "photos"), "searched.yaml", "photos is not the folder of a search: give the"),
        (("--policy", "mine.yaml"), "searched.yaml", "mine.yaml: "),
        (("--policy", "cut.pt"), "searched.yaml", "cut.pt: damaged"),
        (("--policy", "runs/first/seed.pt"), "searched.yaml", "seed.pt: is no policy of this version"),
        (("--policy", "runs/first"), "small.yaml", "--policy runs/first: the policy has"),
        (("--policy", "runs/first"), "mnasnet", "the policy of run first is of another space"),
        (("--policy", "runs/first", "--controller", "evolution"), "searched.yaml",
         "is for a controller with a policy, and evolution has none: choose rnn or screened"),
        (("--policy", "runs/first", "--controller", "uniform"), "searched.yaml", "uniform has none"),
    ],
)  # fmt: skip
def test_a_bad_policy_is_refused(search, left, tmp_path, options, space, problem):
    (tmp_path / "cut.pt").write_bytes(left[: len(left) // 2])
    status, _, err = search(*options, "--run-name", "bad", space=space)
    assert status == 2
    assert problem in err
    assert len(err.strip().splitlines()) == 1
    assert not (tmp_path / "runs" / "bad").exists()


def test_a_run_keeps_the_policy_that_it_began_with(nas_search):
    status, _, err = nas_search("--resume", "runs/first", "--policy", "runs/first")
    assert status == 2
    assert "--policy cannot change on --resume: a run keeps its settings" in err


def test_naming_another_controller_drops_the_policy_of_a_file(tmp_path):
    (tmp_path / "mine.yaml").write_text("controller: {name: rnn, policy: runs/first}\n")
    given = make_config(file=tmp_path / "mine.yaml")
    assert (given.controller.name, given.controller.policy) == ("rnn", "runs/first")
    other = make_config(
        file=tmp_path / "mine.yaml", overrides={"controller": {"name": "evolution"}}
    )
    assert (other.controller.name, other.controller.policy) == ("evolution", None)


def test_a_search_from_a_parent_takes_one_of_the_same_choices(nas_search, photos, tmp_path):
    (tmp_path / "short.yaml").write_text(FROM_PARENT)
    (tmp_path / "parent.pt").write_bytes(checkpoint_bytes(small_parent()))
    options = (
        "--data", photos, "--device", "madds:1", "--workers", 0, "--config", "short.yaml",
        "--parent", "parent.pt", "--trials", 4, "--batch-size", 2,
    )  # fmt: skip
    sides = ("--resolutions", "64,32")
    status, _, err = nas_search(*options, *sides, "--run-name", "first")
    assert status == 0, err
    status, _, err = nas_search(
        *options, *sides, "--run-name", "one", "--target-ms", 0.3, "--policy", "runs/first"
    )
    assert status == 0, err
    assert (tmp_path / "runs/one/first-policy.pt").is_file()
    status, _, err = nas_search(*options, "--resolutions", "64,48", "--policy", "runs/first")
    assert status == 2
    assert "is of another space, which has resolution (64, 32) where this one has" in err
