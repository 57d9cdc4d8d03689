"""The `netadapt` command as its users meet it."""

import errno
import json
import os
import re
import signal
from dataclasses import replace

import pytest
from filelock import FileLock

from latency import DEVICES, DeviceLostError, Latency, MeasurementError
from latency.estimates.madds import MaddsEstimate
from nas.checkpoints.checkpoint import checkpoint_bytes, load_checkpoint
from nas.engine.folder.publishing import run_of
from netadapt import depth_groups, width_groups
from tests.nas.adapting.test_adapt import FULL_MS, SEED

STEPS = ("--device", "madds:1", "--finetune-steps", 1, "--batch-size", 16, "--workers", 0)
QUICK = (*STEPS, "--final-epochs", 0.3)
STEPS_ALONE = (*STEPS, "--final", "none")


def test_a_seed_becomes_a_narrower_network(netadapt, seed, photos, tmp_path):
    target = 0.85 * FULL_MS
    common = ("--seed", seed, "--data", photos, "--target-ratio", 0.85, *QUICK)
    code, out, err = netadapt(*common, "--run-name", "one", "--json")
    assert code == 0, err
    document = json.loads(out)
    assert document["reached"]
    assert document["latency"]["median_ms"] <= target * (1 + 1e-9)
    folder = tmp_path / "runs" / "one"
    for name in ("adapted.yaml", "adapted.pt", "adapted.onnx", "family.csv", "proposals.jsonl"):
        assert (folder / name).stat().st_size > 0
    for name in ("adapted.pt", "adapted.yaml"):
        assert run_of(tmp_path / "runs" / name) == "one"
    assert "width groups" in err
    code, out, _ = netadapt("--resume", folder, "--workers", 0, "--json")
    assert json.loads(out) | {"run": document["run"]} == document


def test_its_folder_stands_for_what_it_found(netadapt, nas, seed, photos, tmp_path):
    """And not for the network that it began with, which is in the folder too."""
    common = ("--seed", seed, "--data", photos, "--target-ratio", 0.85, *STEPS_ALONE)
    assert netadapt(*common, "--run-name", "one")[0] == 0
    folder = tmp_path / "runs" / "one"
    code, out, err = nas("export", folder, "--json")
    assert code == 0, err
    assert json.loads(out)["path"] == str(folder / "adapted.onnx")
    code, out, err = nas("show", folder, "--json")
    assert code == 0, err
    named = json.loads(nas("show", folder / "adapted.yaml", "--json")[1])
    assert json.loads(out) | {"name": ""} == named | {"name": ""}
    assert nas("evaluate", folder, "--data", photos)[0] == 0
    quick = ("--data", photos, "--batch-size", 16, "--epochs", 0.3)
    code, _, err = nas("train", folder, *quick, "-o", tmp_path / "on.pt")
    assert code == 0, err
    assert "fine-tuning on" in err
    (folder / "adapted.pt").unlink()
    code, _, err = nas("export", folder)
    assert code == 2
    assert f"{folder} has no result yet: resume it with netadapt --resume {folder}" in err
    (folder / "config.yaml").unlink()
    code, _, err = nas("export", folder)
    assert code == 2
    assert "resume it with the same call in Python" in err


def test_the_seed_is_read_once(netadapt, seed, photos, tmp_path, monkeypatch):
    """A search that ends meanwhile may put another network in its place."""
    from nas.cli.adapt import opening

    opened = opening.open_seed

    def then_lost(path):
        found = opened(path)
        if path == seed:
            path.write_bytes(b"another one")
        return found

    monkeypatch.setattr(opening, "open_seed", then_lost)
    common = ("--seed", seed, "--data", photos, "--target-ratio", 0.85, *STEPS_ALONE)
    code, _, err = netadapt(*common, "--run-name", "one")
    assert code == 0, err
    assert load_checkpoint(tmp_path / "runs" / "one" / "seed.pt").spec == SEED.spec


def test_the_device_is_the_seed_s_own(netadapt, photos, tmp_path):
    (tmp_path / "own.pt").write_bytes(checkpoint_bytes(replace(SEED, device="madds:4")))
    own = ("--seed", "own.pt", "--data", photos, "--batch-size", 16)
    code, _, err = netadapt(*own, "--target-ms", FULL_MS)
    assert code == 0
    assert "estimate at 4 G MAdds/s" in err
    assert "nothing to do" in err


def test_shorter_stages_are_in_the_plan_and_the_table_of_widths(netadapt, seed, photos, tmp_path):
    common = ("--seed", seed, "--data", photos, *STEPS_ALONE, "--proposals", "widths+depth")
    code, out, err = netadapt(*common, "--target-ratio", 0.85, "--dry-run", "--json")
    assert code == 0, err
    stages = len(depth_groups(SEED.spec))
    assert f"width groups and the depth of {stages} stages, " in " ".join(err.split())
    assert json.loads(out)["groups"] == len(width_groups(SEED.spec)) + stages
    code, _, err = netadapt(*common, "--target-ms", 0.01 * FULL_MS)
    assert code == 2
    assert "with every layer at its minimum width (--divisor 8, --floor 8) and depth the" in err
    code, _, err = netadapt(*common[:-2], "--target-ms", 0.01 * FULL_MS)
    assert "or --ends, or --proposals widths+depth" in err


def test_a_network_of_a_search_from_a_parent_keeps_channels_by_importance(
    netadapt, photos, tmp_path
):
    (tmp_path / "own.pt").write_bytes(checkpoint_bytes(replace(SEED, from_parent=True)))
    common = ("--seed", "own.pt", "--data", photos, *STEPS_ALONE, "--target-ratio", 0.9)
    code, out, err = netadapt(*common, "--run-name", "one", "--json")
    assert code == 0, err
    assert "the channels that matter most to the loss (--keep taylor)" in " ".join(err.split())
    folder = tmp_path / "runs" / "one"
    assert "keep: taylor\n" in (folder / "config.yaml").read_text()
    document = json.loads(out)
    code, out, err = netadapt("--resume", folder, "--json")
    assert code == 0, err
    assert json.loads(out) | {"run": document["run"]} == document
    code, _, err = netadapt(*common, "--keep", "first", "--dry-run")
    assert code == 0, err
    assert "--keep taylor" not in err


def test_nothing_to_do_is_no_failure(netadapt, seed, photos, tmp_path):
    common = ("--seed", seed, "--data", photos, "--target-ms", 2 * FULL_MS, *QUICK)
    for option in ("--json", "--dry-run"):
        code, out, err = netadapt(*common, "--json", option)
        assert code == 0
        assert "nothing to do" in err
        document = json.loads(out)
        assert document["nothing_to_do"]
        assert document["seed_ms"] == pytest.approx(FULL_MS)
    assert not (tmp_path / "runs").exists()


def test_a_resumed_run_does_not_ask_again_whether_there_is_work(
    netadapt, seed, photos, tmp_path, monkeypatch
):
    """A noisy device may tell another latency of the seed; the run's is the one that it began with."""
    common = ("--seed", seed, "--data", photos, "--target-ratio", 0.85, *QUICK)
    code, out, err = netadapt(*common, "--run-name", "one", "--json")
    assert code == 0, err

    class Fast(MaddsEstimate):
        def latency(self, spec):
            return Latency.exactly(super().latency(spec).median_ms / 4, self.device)

    kind = replace(DEVICES["madds"], open=lambda rate: Fast(float(rate)))
    monkeypatch.setitem(DEVICES, "madds", kind)
    code, again, err = netadapt("--resume", tmp_path / "runs" / "one", "--workers", 0, "--json")
    assert code == 0, err
    assert "nothing to do" not in err
    assert json.loads(again)["family"] == json.loads(out)["family"]


@pytest.fixture
def device(monkeypatch):
    """`madds:1` that does what is asked of it before each answer."""

    def make(act):
        class Odd(MaddsEstimate):
            def latency(self, spec):
                act(spec)
                return super().latency(spec)

        kind = replace(DEVICES["madds"], open=lambda rate: Odd(float(rate)))
        monkeypatch.setitem(DEVICES, "madds", kind)

    return make


@pytest.mark.slow
def test_it_says_first_what_it_will_do_and_cost(netadapt, seed, photos):
    common = ("--seed", seed, "--data", photos, "--target-ratio", 0.85, *QUICK)
    code, _, err = netadapt(*common, "--final", "both", "--compare", "uniform")
    assert code == 0, err
    before, _, during = " ".join(err.split()).partition("run folder")
    assert "not measured: estimate at 1 G MAdds/s" in before
    assert f"{len(width_groups(SEED.spec))} width groups" in before
    assert re.search(r"width groups, \d+ proposals? in the first step", before)
    assert "from scratch and by fine-tuning" in before
    assert (
        "as is the seed at a uniform width multiplier of the same latency; 3 trainings each"
        in before
    )
    assert "cost about" in before
    assert "best of 1 so far, about" in during
    assert " left" in during
    assert "uniform from scratch, 2 of 3: " in during
    assert "trajectory" in during
    assert "widths" in during
    assert re.search("Trained from scratch, on (test|held-out) images: NetAdapt", during)
    assert "finding the width multiplier" in during
    assert "points" in during


@pytest.mark.slow
def test_the_comparison_can_be_asked_for_afterwards(netadapt, seed, photos, tmp_path):
    common = ("--seed", seed, "--data", photos, "--target-ratio", 0.85, *QUICK)
    code, _, err = netadapt(*common, "--run-name", "one")
    assert code == 0, err
    assert "to compare with a uniform width multiplier:" in err
    more = ("--compare", "uniform", "--compare-seeds", 2, "--workers", 0, "--json")
    code, out, err = netadapt("--resume", tmp_path / "runs" / "one", *more)
    assert code == 0, err
    (comparison,) = json.loads(out)["comparisons"]
    assert (len(comparison["ours"]), len(comparison["theirs"])) == (2, 2)
    code, again, _ = netadapt("--resume", tmp_path / "runs" / "one", "--json")  # it is kept
    assert json.loads(again)["comparisons"] == [comparison]
    code, _, err = netadapt("--resume", tmp_path / "runs" / "one", "--delta", 0.2)
    assert code == 2
    assert "--delta cannot change on --resume" in err


@pytest.mark.slow
def test_the_last_training_can_be_chosen_until_there_is_one(netadapt, seed, photos, tmp_path):
    common = ("--seed", seed, "--data", photos, "--target-ratio", 0.85, *STEPS_ALONE)
    code, _, err = netadapt(*common, "--run-name", "one")
    assert code == 0, err
    again = ("--resume", tmp_path / "runs" / "one", "--workers", 0)
    code, out, err = netadapt(
        *again,
        "--final",
        "finetune",
        "--final-epochs",
        0.6,
        "--final-learning-rate",
        0.001,
        "--json",
    )
    assert code == 0, err
    assert [final["kind"] for final in json.loads(out)["finals"]] == ["finetune"]
    for late in (("--final", "scratch"), ("--final-epochs", 5), ("--final-learning-rate", 0.5)):
        code, _, err = netadapt(*again, *late)
        assert code == 2
        assert "its settings can no longer change" in " ".join(err.split())
    code, same, err = netadapt(*again, "--json")  # and a refusal changes nothing
    assert code == 0, err
    assert json.loads(same) == json.loads(out)


@pytest.mark.slow
def test_where_few_groups_can_give_delta_it_says_which_delta_more_can_give(netadapt, seed, photos):
    common = ("--seed", seed, "--data", photos, "--target-ratio", 0.6, *STEPS_ALONE)
    code, _, err = netadapt(*common, "--delta", 0.2)
    assert code == 0, err
    advice = r"only (\d+) of (\d+) groups can save .*with --delta ([0-9.]+), (\d+) can"
    said = re.search(advice, " ".join(err.split()))
    assert said, err
    few, groups, delta, more = said.groups()
    assert 2 * int(few) <= int(more) <= int(groups)
    code, _, err = netadapt(*common, "--delta", delta)
    assert code == 0, err
    assert f"{more} proposals in the first step" in " ".join(err.split())


def test_a_device_lost_on_the_way_says_how_to_go_on(netadapt, seed, photos, tmp_path, device):
    asked = []

    def lose(spec):
        asked.append(spec)
        if len(asked) > 30:
            raise DeviceLostError("no answer")

    device(lose)
    common = ("--seed", seed, "--data", photos, "--target-ratio", 0.7, *QUICK)
    code, _, err = netadapt(*common, "--run-name", "one")
    assert code == 1
    assert "to resume: netadapt --resume runs/one" in err.replace("\n", " ")
    assert "netadapt: the device is lost (no answer)" in err
    device(lambda spec: None)
    code, _, err = netadapt("--resume", tmp_path / "runs" / "one", "--workers", 0)
    assert code == 0, err


@pytest.mark.slow
def test_sigterm_says_how_to_go_on(netadapt, seed, photos, tmp_path, device):
    asked = []

    def terminate(spec):
        asked.append(spec)
        if len(asked) > 30:
            os.kill(os.getpid(), signal.SIGTERM)

    device(terminate)
    common = ("--seed", seed, "--data", photos, "--target-ratio", 0.7, *QUICK)
    code, _, err = netadapt(*common, "--run-name", "one")
    assert code == 143
    assert "to resume: netadapt --resume runs/one" in err.replace("\n", " ")
    assert err.splitlines()[-1] == "netadapt: terminated"
    device(lambda spec: None)
    code, _, err = netadapt("--resume", tmp_path / "runs" / "one", "--workers", 0)
    assert code == 0, err


def test_what_another_process_holds_is_not_to_be_gone_on_with(netadapt, seed, photos, tmp_path):
    common = ("--seed", seed, "--data", photos, "--target-ratio", 0.85, *STEPS_ALONE)
    assert netadapt(*common, "--run-name", "one")[0] == 0
    other = FileLock(tmp_path / "runs" / "one" / ".lock", is_singleton=False)
    with other:
        code, _, err = netadapt("--resume", tmp_path / "runs" / "one")
    assert code == 2
    assert "another process is using this run" in err
    assert "to resume" not in err


@pytest.mark.slow
def test_a_run_that_is_gone_on_with_tells_the_truth(netadapt, seed, photos, tmp_path):
    common = ("--seed", seed, "--data", photos, "--target-ratio", 0.85, *QUICK)
    code, _, err = netadapt(*common, "--run-name", "one", "--compare", "uniform")
    assert code == 0, err
    assert "test accuracy: " in err
    code, out, err = netadapt("--resume", tmp_path / "runs" / "one", "--compare-seeds", 2, "--json")
    assert code == 0, err
    assert "--compare-seeds 2: all 3 finished trainings are compared" in err
    assert len(json.loads(out)["comparisons"][0]["ours"]) == 3
    assert "this run had scored the test images before" in err


def refuse_all(spec):
    raise MeasurementError("no such runtime")


def refuse_the_narrowest(spec):
    if spec.blocks[-1].expand == spec.blocks[4].expand == 8:
        raise MeasurementError("no such runtime")


def test_photos_have_to_be_named(netadapt, seed, tmp_path):
    code, _, err = netadapt("--seed", seed, "--target-ratio", 0.9, *QUICK)
    assert code == 2
    assert "give --data with its training images" in err
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("act", [refuse_all, refuse_the_narrowest])
def test_a_device_that_cannot_measure_is_told_before_anything_is_written(
    netadapt, seed, photos, tmp_path, device, act
):
    device(act)
    code, _, err = netadapt("--seed", seed, "--data", photos, "--target-ms", 0.7 * FULL_MS, *QUICK)
    assert code == 2
    assert "no such runtime: choose another --device" in err
    assert not (tmp_path / "runs").exists()


def test_an_unstable_seed_and_a_vain_decay_are_warned_of(
    netadapt, seed, photos, tmp_path, monkeypatch
):
    class Shaky(MaddsEstimate):
        def latency(self, spec):
            return replace(super().latency(spec), stable=False, problems=("drifted by 9%",))

    kind = replace(DEVICES["madds"], open=lambda rate: Shaky(float(rate)))
    monkeypatch.setitem(DEVICES, "madds", kind)
    common = ("--seed", seed, "--data", photos, "--target-ratio", 0.85, *QUICK)
    code, _, err = netadapt(*common, "--delta", 0.12, "--decay", 0.1)
    err = " ".join(err.split())
    assert code == 0, err
    assert "the seed's latency is unstable (drifted by 9%)" in err
    assert "latencies are unstable" in err
    assert "(unstable)" in err
    assert "delta decays too fast to reach the target" in err


@pytest.mark.parametrize(
    "failure",
    [
        OSError(errno.ENOSPC, "No space left on device", "family.csv"),
        OSError(errno.EROFS, "Read-only file system", "family.csv"),
    ],
)
def test_a_disk_that_fails_is_one_line_that_says_how_to_go_on(
    netadapt, seed, photos, monkeypatch, failure
):
    def fails(*_, **__):
        raise failure

    monkeypatch.setattr("nas.run_adapt.adapt", fails)
    common = ("--seed", seed, "--data", photos, "--target-ratio", 0.85, *STEPS_ALONE)
    code, _, err = netadapt(*common, "--run-name", "one")
    assert code == 2
    assert "to resume: " in err
    assert err.strip().splitlines()[-1].startswith(f"netadapt: family.csv: {failure.strerror}: ")
