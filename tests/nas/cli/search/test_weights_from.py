"""`nas-search --space mnasnet --parent FILE`: a space from scratch, begun with a network's weights."""

import json

import pytest

from nas.checkpoints.checkpoint import checkpoint_bytes
from nas.searching.config import load_config
from nas.searching.presets import make_config
from search_spaces import InputError
from tests.nas.cli.conftest import SEARCHED_SPACE
from tests.nas.small_parent import small_parent

CONFIG = """
recipe: {steps: 2, batch_size: 16}
finals: {count: 1, repeats: 1, epochs_factor: 1}
"""


@pytest.fixture
def search(nas_search, photos, tmp_path):
    (tmp_path / "short.yaml").write_text(CONFIG)
    (tmp_path / "both.yaml").write_text("parent: {path: parent.pt}\n")
    (tmp_path / "parent.pt").write_bytes(checkpoint_bytes(small_parent()))
    (tmp_path / "mine.yaml").write_text(SEARCHED_SPACE)
    (tmp_path / "smooth.yaml").write_text(SEARCHED_SPACE.replace("act: relu", "act: hswish"))
    options = ("--data", photos, "--device", "madds:1", "--workers", 0, "--resolution", 32)
    return lambda *more: nas_search(*options, *more)


OVERLAP = ("--space", "mine.yaml", "--parent", "parent.pt")


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ((*OVERLAP, "--warm-start", "parent.pt"), "warm_start does not apply with weights_from parent.pt"),
        ((*OVERLAP, "--resolutions", "64"), "--resolutions 64 applies to a search from a parent"),
        ((*OVERLAP, "--from-scratch"), "exclude each other"),
        ((*OVERLAP, "--parent", "none.pt"), "none.pt: No such file or directory"),
        ((*OVERLAP, "--space", "smooth.yaml"), "space searched has no layer in common with the parent"),
        ((*OVERLAP, "--config", "both.yaml"), "parent in the settings is for a search of its sub-networks"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line_before_anything_is_trained(search, tmp_path, options, problem):
    status, _, err = search(*options)
    assert status == 2
    assert problem in err.splitlines()[-1]
    assert not (tmp_path / "runs").exists()


def test_the_plan_says_how_much_overlaps(search):
    status, _, err = search(*OVERLAP, "--config", "short.yaml", "--dry-run")
    assert status == 0, err
    said = " ".join(err.split())
    assert (
        "of a network's weights begin as those of parent.pt (mean of 8 networks of the space)"
        in said
    )
    share = int(said.partition("% of a network's weights")[0].rpartition(" ")[2])
    assert 0 < share < 100


def test_the_settings_say_what_lends_its_weights():
    given = {"space": "mnasnet", "parent": {"path": "mobilenet_v2"}}
    config = make_config(overrides=given, default_parent="mobilenet_v2")
    assert (config.weights_from, config.parent) == ("mobilenet_v2", None)
    assert config.trials == 100, "as from scratch"
    alone = make_config(overrides={"weights_from": "x.pt"}, default_parent="mobilenet_v2")
    assert (alone.space, alone.parent) == ("mnasnet", None)
    with pytest.raises(InputError, match=r"parent\.path does not apply with weights_from x\.pt"):
        make_config(overrides={"weights_from": "x.pt", "parent": {"path": "y.pt"}})


def test_a_run_keeps_the_weights_and_resumes_with_them(search, nas_search, tmp_path):
    options = ("--config", "short.yaml", "--trials", 4, "--batch-size", 2, "--json")
    status, out, err = search(*OVERLAP, *options, "--run-name", "one", "--target-ms", 1)
    assert status == 0, err
    result, run = json.loads(out), tmp_path / "runs" / "one"
    assert load_config(run / "config.yaml").weights_from == "runs/one/start.pt"
    log = (run / "trials.jsonl").read_text().splitlines()
    (run / "trials.jsonl").write_text("\n".join(log[:3]) + "\n")
    (run / "finals.jsonl").unlink()
    for name in ("parent.pt", "mine.yaml"):
        (tmp_path / name).unlink()
    status, out, err = nas_search(
        "--resume", run.rename(run.with_name("two")), "--workers", 0, "--json"
    )
    assert status == 0, err
    assert json.loads(out)["fingerprint"] == result["fingerprint"]
