"""The options of `netadapt`: a wrong one is named, and nothing is written for it."""

import json
from dataclasses import replace

import pytest

from nas.checkpoints.checkpoint import checkpoint_bytes
from netadapt import narrowed, width_groups
from search_spaces.spec import save
from tests.nas.adapting.test_adapt import FULL_MS, SEED
from tests.nas.cli.adapt.test_netadapt import QUICK, STEPS_ALONE


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "give --seed with --target-ms or --target-ratio"),
        (("--seed", "SEED", "--target-ms", "1", "--target-ratio", "0.5"), "give one of them"),
        (
            ("--seed", "SEED", "--target-ratio", "1.5"),
            "--target-ratio must be between 0 and 1, got 1.5",
        ),
        (
            ("--seed", "SEED", "--target-ms", "0.001"),
            "0.00100 ms cannot be reached: with every layer at its minimum width (--divisor 8, --floor 8)",
        ),
        (
            ("--seed", "SEED", "--target-ratio", "0.5", "--divisor", "1000"),
            "no layer can be narrowed to a multiple of 1000 (--divisor) of at least 8 (--floor)",
        ),
        (("--seed", "MIXED", "--target-ms", "0.3"), "the weights do not fit its spec"),
        (("--seed", "SPEC", "--target-ms", "1"), "has no weights: train it first"),
        (("--seed", "absent.yaml", "--target-ms", "1"), "absent.yaml: No such file"),
        (("--seed", "absent.pt", "--target-ms", "1"), "absent.pt: No such file"),
        (
            ("--seed", "SEED", "--target-ms", "1", "--data", "OTHER"),
            "other does not fit SEED: the data's class 'cat' is not what the network was",
        ),
        (
            ("--seed", "SEED", "--target-ms", "0.3", "--batch-size", "64"),
            "--batch-size is 64, but PHOTOS has 60 training images: give a smaller one",
        ),
        (
            ("--seed", "SEED", "--target-ms", "1", "--device", "pieces:"),
            "give for instance pieces:cpu",
        ),
        (("--resume", "absent"), "absent"),
        (("--resume", "absent", "--dry-run"), "--dry-run applies to a new run"),
    ],
)
def test_bad_input_writes_nothing(netadapt, seed, photos, tmp_path, arguments, message):
    spec = tmp_path / "spec.yaml"
    save(SEED.spec, spec)
    other = tmp_path / "other"
    other.mkdir()
    for name, source in (("cat", "dark"), ("dog", "light")):
        (other / name).symlink_to(photos / source)
    mixed = tmp_path / "mixed.pt"
    mixed.write_bytes(
        checkpoint_bytes(replace(SEED, spec=narrowed(SEED.spec, width_groups(SEED.spec)[0], 8)))
    )
    places = {"SEED": seed, "SPEC": spec, "OTHER": other, "MIXED": mixed, "PHOTOS": photos}
    chosen = [places.get(a, a) for a in arguments]
    more = (
        ()
        if "--data" in arguments or "--resume" in arguments or not arguments
        else ("--data", photos)
    )
    # What the test gives comes last, and so wins.
    code, _, err = netadapt(*(QUICK if "--resume" not in arguments else ()), *chosen, *more)
    for name, place in places.items():
        message = message.replace(name, str(place))
    assert code == 2
    assert message in err
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--target-ms", 0), "--target-ms must be greater than 0, got 0.0"),
        (("--delta", 1.5), "--delta must be less than 1, got 1.5"),
        (("--delta", 0), "--delta must be greater than 0, got 0.0"),
        (("--decay", 2), "--decay must be"),
        (("--tolerance", 0), "--tolerance must be greater than 0, got 0.0"),
        (("--keep", "best"), "--keep must be 'first', 'norm' or 'taylor', got 'best'"),
        (
            ("--proposals", "depth"),
            "--proposals must be widths or widths+depth, got 'depth': give widths+depth for shorter stages",
        ),
        (("--metric", "best"), "--metric must be"),
        (("--finetune-steps", 0), "--finetune-steps must be greater than 0, got 0"),
        (("--batch-size", 1), "--batch-size must be"),
        (("--learning-rate", -1), "--learning-rate must be"),
        (("--final-epochs", 0), "--final-epochs must be"),
        (("--final-learning-rate", 0), "--final-learning-rate must be"),
        (("--workers", -1), "--workers must be greater than or equal to 0, got -1"),
        (("--random-seed", -1), "--random-seed must be"),
        (("--compare", "nothing"), "--compare must be 'none' or 'uniform', got 'nothing'"),
        (("--compare-seeds", 1), "--compare-seeds must be"),
        (("--compare", "uniform", "--final", "none"), "--compare uniform needs a final training"),
        (("--target-ratio", 1.5), "--target-ratio must be between 0 and 1, got 1.5"),
        (("--target-ms", "abc"), "Invalid value for '--target-ms'"),
        (("--target-ms", "abc"), "got 'abc'"),
        (("--workers=1.5",), "got '1.5'"),
        (("--device", ""), "--device is empty"),
        (("--device", "cpu=4"), "give --device cpu --target-ms 4"),
        (("--run-name", ""), "run name '' is not a folder name"),
        (
            ("--runs", "/proc/absent"),
            "No such file or directory: choose a writable folder",
        ),
        (
            ("--final", "none", "--final-epochs", 3),
            "--final-epochs has no effect with --final none",
        ),
        (("--compare-seeds", 5), "--compare-seeds has no effect with --compare none"),
    ],
)
def test_a_wrong_option_is_named_before_anything_is_opened(
    netadapt, tmp_path, monkeypatch, arguments, message
):
    def opened(*_):
        pytest.fail("the seed was opened")

    monkeypatch.setattr("nas.cli.adapt.opening.open_seed", opened)
    target = () if str(arguments[0]).startswith("--target") else ("--target-ratio", 0.5)
    code, _, err = netadapt("--seed", "any.pt", *target, *arguments)
    assert code == 2
    assert err.startswith(f"netadapt: {message}") or message in err
    assert err.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def test_a_wrong_option_is_named_on_resume_too(netadapt, seed, photos, tmp_path):
    common = ("--seed", seed, "--data", photos, "--target-ratio", 0.85, *STEPS_ALONE)
    assert netadapt(*common, "--run-name", "one")[0] == 0
    again = ("--resume", tmp_path / "runs" / "one")
    code, _, err = netadapt(*again, "--workers", -1)
    assert (code, "--workers must be" in err) == (2, True)
    code, _, err = netadapt(*again, "--compare-seeds", 3)
    assert (code, "has no effect with --compare none" in err) == (2, True)
    code, _, err = netadapt(*again, "--compare", "uniform")
    assert (code, "--compare uniform needs a final training" in err) == (2, True)
    config = tmp_path / "runs" / "one" / "config.yaml"
    config.write_text(config.read_text().replace("steps: 1", "steps: 0"))
    code, _, err = netadapt(*again)
    assert (code, "one/config.yaml: recipe.steps: must be" in err) == (2, True)
    config.unlink()
    code, _, err = netadapt(*again)
    assert (code, "this run was started from Python" in err) == (2, True)


def test_a_dry_run_says_what_it_would_do_and_writes_nothing(netadapt, seed, photos, tmp_path):
    common = ("--seed", seed, "--data", photos, "--target-ratio", 0.85, *QUICK)
    code, out, err = netadapt(*common, "--dry-run", "--json")
    assert code == 0, err
    assert not (tmp_path / "runs").exists()
    for waited in (
        "reading images",
        "measuring the seed",
        "measuring each group at its minimum width",
        "width groups",
    ):
        assert waited in err
    assert "cost about" in " ".join(err.split())
    assert "run folder" not in err
    assert err.count("measuring the seed") == 1
    document = json.loads(out)
    assert document["seed_ms"] == pytest.approx(FULL_MS)
    assert document["target_ms"] == pytest.approx(0.85 * FULL_MS)
    assert document["groups"] == len(width_groups(SEED.spec)) >= document["proposals"] > 0
    assert document["steps"] >= 1
    assert document["expected_s"] > 0
    code, out, _ = netadapt(*common, "--dry-run")
    assert (code, out) == (0, "")
