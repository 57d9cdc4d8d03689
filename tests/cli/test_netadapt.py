"""The `netadapt` command as its users meet it."""

import json
from dataclasses import replace

import pytest

from latency import DEVICES, Latency
from latency.madds import MaddsEstimate
from nas.cli.main import netadapt_main
from nas.seeds import seed_bytes
from search_spaces.spec import save
from tests.cli.conftest import run
from tests.nas.test_adapt import FULL_MS, SEED

QUICK = (
    "--device", "madds:1", "--finetune-steps", 1, "--batch-size", 16, "--final-epochs", 0.3, "--workers", 0,
)  # fmt: skip


@pytest.fixture
def netadapt(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: run(monkeypatch, capsys, *arguments, command=netadapt_main)


@pytest.fixture
def seed(tmp_path):
    path = tmp_path / "seed.pt"
    path.write_bytes(seed_bytes(SEED))
    return path


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
    assert (tmp_path / "runs" / "adapted.pt").read_bytes() == (folder / "adapted.pt").read_bytes()
    assert "width groups" in err
    code, out, _ = netadapt("--resume", folder, "--workers", 0, "--json")
    assert json.loads(out) | {"run": document["run"]} == document


def test_the_device_is_the_seed_s_own(netadapt, photos, tmp_path):
    (tmp_path / "own.pt").write_bytes(seed_bytes(replace(SEED, device="madds:4")))
    own = ("--seed", "own.pt", "--data", photos, "--batch-size", 16)
    code, _, err = netadapt(*own, "--target-ms", FULL_MS)
    assert code == 0
    assert "estimate at 4 G MAdds/s" in err
    assert "nothing to do" in err


def test_nothing_to_do_is_no_failure(netadapt, seed, photos, tmp_path):
    code, _, err = netadapt("--seed", seed, "--data", photos, "--target-ms", 2 * FULL_MS, *QUICK)
    assert code == 0
    assert "nothing to do" in err
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "give --seed with --target-ms or --target-ratio"),
        (("--seed", "SEED", "--target-ms", "1", "--target-ratio", "0.5"), "give --seed with"),
        (
            ("--seed", "SEED", "--target-ratio", "1.5"),
            "target-ratio must be between 0 and 1, got 1.5",
        ),
        (
            ("--seed", "SEED", "--target-ms", "0.001"),
            "cannot be reached: with every group at its",
        ),
        (("--seed", "SEED", "--target-ms", "0"), "target_ms"),
        (("--seed", "SEED", "--target-ms", "1", "--delta", "1.5"), "delta"),
        (("--seed", "SEED", "--target-ms", "1", "--delta", "0"), "delta"),
        (("--seed", "SEED", "--target-ms", "1", "--keep", "best"), "keep"),
        (("--seed", "SPEC", "--target-ms", "1"), "has no weights: train it first"),
        (("--seed", "absent.pt", "--target-ms", "1"), "absent.pt: No such file"),
        (
            ("--seed", "SEED", "--target-ms", "1", "--data", "OTHER"),
            "is not what the network was",
        ),
        (("--resume", "absent"), "absent"),
    ],
)
def test_bad_input_writes_nothing(netadapt, seed, photos, tmp_path, arguments, message):
    spec = tmp_path / "spec.yaml"
    save(SEED.spec, spec)
    other = tmp_path / "other"
    other.mkdir()
    for name, source in (("cat", "dark"), ("dog", "light")):
        (other / name).symlink_to(photos / source)
    places = {"SEED": seed, "SPEC": spec, "OTHER": other}
    chosen = [places.get(a, a) for a in arguments]
    more = (
        ()
        if "--data" in arguments or "--resume" in arguments or not arguments
        else ("--data", photos)
    )
    code, _, err = netadapt(*chosen, *more, *(QUICK if "--resume" not in arguments else ()))
    assert code == 2
    assert message in err
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
