"""`nas-search --space FILE`, where the file has a parent: what it refuses, what it plans, and a run."""

import json

import pytest

from nas.checkpoints.checkpoint import checkpoint_bytes
from nas.searching.config import load_config
from search_spaces.spec import save
from tests.nas.small_parent import small_parent

CONFIG = """
recipe: {steps: 2, batch_size: 16}
parent: {recipe: {steps: 3, batch_size: 16}}
finals: {count: 1, repeats: 1, recipe: {steps: 3, batch_size: 16}}
"""
OWN = """\
name: mine
parent: net.yaml
resolutions: [32, 64]
widths: [0.5, 1.0]
expansions: [0.5, 1.0]
kernels: [3, 7]
"""


@pytest.fixture
def search(nas_search, photos, tmp_path):
    (tmp_path / "short.yaml").write_text(CONFIG)
    (tmp_path / "parent.pt").write_bytes(checkpoint_bytes(small_parent()))
    save(small_parent().spec, tmp_path / "net.yaml")
    (tmp_path / "mine.yaml").write_text(OWN)
    (tmp_path / "open.yaml").write_text(OWN.replace("resolutions: [32, 64]\n", ""))
    (tmp_path / "v2.yaml").write_text(OWN.replace("net.yaml", "mobilenet_v2"))
    (tmp_path / "v3.yaml").write_text(OWN.replace("net.yaml", "mobilenet_v3_large"))
    options = ("--data", photos, "--device", "madds:1", "--workers", 0)
    return lambda *more: nas_search(*options, *more)


OF_PARENT = ("--parent", "parent.pt", "--space")


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (("--space", "mine.yaml"), "sub-networks of net.yaml, whose weights are not in the package"),
        (("--space", "v3.yaml"), "of mobilenet_v3_large, whose weights are not in the package: give"),
        (("--space", "v2.yaml", "--from-scratch"), "with --parent, and neither --from-scratch nor"),
        (("--space", "v2.yaml", "--preset", "paper"), "neither --from-scratch nor --preset paper"),
        ((*OF_PARENT, "v2.yaml"), "parent.pt is another network (it has 5 blocks, not 17)"),
        ((*OF_PARENT, "other.yaml"), "parent.pt is another network (block 1 differs)"),
        ((*OF_PARENT, "eps.yaml"), "parent.pt is another network (its bn_eps differs)"),
        ((*OF_PARENT, "mine.yaml", "--resolutions", "64"), "--resolutions 64 contradicts space mine.yaml"),
        ((*OF_PARENT, "open.yaml", "--resolutions", "60"), "resolution 60 is not a multiple of"),
        ((*OF_PARENT, "gone.yaml"), "gone.yaml: No such file"),
        ((*OF_PARENT, "mine.yaml", "--preset", "paper"), "the preset paper trains from scratch"),
        ((*OF_PARENT, "mine.yaml", "--warm-start", "parent.pt"), "--warm-start does not apply"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line_before_anything_is_trained(search, tmp_path, options, problem):
    text = (tmp_path / "net.yaml").read_text()
    for name, old, new in (
        ("other", "expand: 96", "expand: 72"),
        ("eps", "bn_eps: 1e-05", "bn_eps: 0.5"),
    ):
        assert old in text
        (tmp_path / f"{name}-net.yaml").write_text(text.replace(old, new, 1))
        (tmp_path / f"{name}.yaml").write_text(OWN.replace("net.yaml", f"{name}-net.yaml"))
    status, _, err = search(*options)
    assert status == 2
    assert problem in err.splitlines()[-1]
    assert not (tmp_path / "runs").exists()


def plan(search, *options):
    status, out, err = search(
        *options, "--config", "short.yaml", "--dry-run", "--verbose", "--json"
    )
    assert status == 0, err
    return json.loads(out), " ".join(err.split())


def test_the_plan_is_of_the_files_space(search):
    document, err = plan(search, *OF_PARENT, "mine.yaml")
    # Resolution; width of the stem and two stages, depth of 2 and 3, expansions of two, kernels 3, 5, 7.
    assert document["space"] == {"name": "mine", "networks": 2 * 2**3 * (2 * 3) * 2**2 * 3**2}
    assert "32, 64 px to choose from, in training and on the device (mine.yaml changes it)" in err
    same, _ = plan(search, *OF_PARENT, "mine.yaml", "--resolutions", "64,32")
    assert same["space"] == document["space"]


def test_a_target_above_the_parent_leaves_larger_networks_to_search(search):
    document, _ = plan(search, *OF_PARENT, "mine.yaml")
    whole_ms = document["references_ms"]["the parent"]
    above, _ = plan(search, *OF_PARENT, "mine.yaml", "--target-ms", whole_ms * 1.001)
    assert above["target_in_reach"]
    status, _, err = search("--parent", "parent.pt", "--target-ms", whole_ms * 1.001)
    assert status == 2
    assert "nothing to search" in err


def test_resolutions_that_the_file_leaves_open_are_given_or_follow_the_images(search):
    _, err = plan(search, *OF_PARENT, "open.yaml", "--resolutions", "64,32")
    assert (
        "64, 32 px to choose from, in training and on the device (--resolutions changes it)" in err
    )
    _, err = plan(search, *OF_PARENT, "open.yaml", "--resolution", 64)
    assert "64, 56, 48, 40, 32 px to choose from" in err


def test_the_parent_in_the_package_is_the_default(search):
    document, err = plan(search, "--space", "v2.yaml")
    assert document["space"]["name"] == "mine"
    assert "mobilenet_v2, fine-tuned on these 2 classes" in err


def test_a_run_keeps_the_space_and_resumes_with_it(search, nas_search, tmp_path):
    options = ("--config", "short.yaml", "--trials", 4, "--batch-size", 2, "--json")
    status, out, err = search(*OF_PARENT, "mine.yaml", *options, "--run-name", "one")
    assert status == 0, err
    result, run = json.loads(out), tmp_path / "runs" / "one"
    assert load_config(run / "config.yaml").space == "runs/one/space.yaml"
    log = (run / "trials.jsonl").read_text().splitlines()
    assert {json.loads(line)["px"] for line in log} <= {32, 64}

    (run / "trials.jsonl").write_text("\n".join(log[:3]) + "\n")
    (run / "finals.jsonl").unlink()
    for name in ("parent.pt", "mine.yaml", "net.yaml"):
        (tmp_path / name).unlink()
    moved = run.rename(tmp_path / "runs" / "two")
    status, out, err = nas_search("--resume", moved, "--workers", 0, "--json")
    assert status == 0, err
    assert json.loads(out)["fingerprint"] == result["fingerprint"]
