"""A run goes on only as what it was."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from controllers import make_controller
from latency import open_device
from nas import RunStoppedError, search
from nas.data.images import ArraySplit, Dataset
from nas.engine.job import Outcome
from nas.searching.config import FinalsConfig
from nas.searching.latency_warmup import PowerLaw
from nas.training.recipe import Recipe
from search_spaces import InputError, load_space
from search_spaces.spec import load
from tests.nas.conftest import Told


def images(count):
    rng = np.random.default_rng(count)
    pixels = rng.integers(0, 256, (count, 3, 16, 16), dtype=np.uint8)
    return ArraySplit(pixels, np.arange(count) % 2)


DATA = Dataset(
    name="noise", classes=("a", "b"), train=images(40), val=images(8), test=images(8),
    resolution_px=16, mean=(0.5, 0.5, 0.5), std=(0.3, 0.3, 0.3),
)  # fmt: skip


HERE = open_device("madds:1")
ANOTHER = Told(HERE.latency, replace(HERE.device, fingerprint="another"))
"""A device of the same name."""


def accuracy(job):
    return Outcome(0.5 + job.index / 100)


def run(folder, **changes):
    space = load_space("mnasnet", resolution=16, classes=2)
    arguments = {
        "controller": make_controller("uniform", space.arities, seed=0),
        "latency": open_device("madds:1"),
        "data": DATA,
        "target_ms": 1.0,
        "folder": folder,
        "recipe": Recipe(steps=2, batch_size=8),
        "trials": 4,
        "batch_size": 2,
        "finals": FinalsConfig(count=1, repeats=0),
        "evaluate": accuracy,
    }
    return search(space, **(arguments | changes))


def test_the_same_again_changes_nothing(tmp_path):
    first = run(tmp_path)
    log = (tmp_path / "trials.jsonl").read_bytes()
    assert run(tmp_path).winner == first.winner
    assert (tmp_path / "trials.jsonl").read_bytes() == log


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"target_ms": 0.5}, "target_ms was 1.0 when this run started and is 0.5 now"),
        (
            {"latency": open_device("madds:2")},
            r"device\.name was 'estimate at 1 .* is 'estimate at 2 ",
        ),
        ({"latency": ANOTHER}, r"device\.fingerprint was 'madds-1' .* is 'another' now"),
        ({"trials": 6}, "budget.trials was 4 when this run started and is 6 now"),
        ({"recipe": Recipe(steps=3, batch_size=8)}, "training.recipe.steps was 2"),
        (
            {"finals": FinalsConfig(count=1, repeats=0, epochs_factor=2)},
            "training.finals_factor was 4.0",
        ),
        ({"data": replace(DATA, train=images(42))}, "data.train was 40"),
        ({"data": replace(DATA, classes=("a", "c"))}, r"data.class_names was \['a', 'b'\]"),
        ({"data": replace(DATA, mean=(0.4, 0.5, 0.5))}, "data.mean was"),
    ],
)
def test_what_changed_is_named_and_nothing_is_mixed(tmp_path, changes, named):
    run(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.glob("*.json*")}
    with pytest.raises(InputError, match=named):
        run(tmp_path, **changes)
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.json*")} == before


@pytest.mark.parametrize("name", ["rnn", "screened", "uniform"])
def test_a_guided_search_goes_on_with_the_same_guess(tmp_path, name):
    arities = load_space("mnasnet", resolution=16, classes=2).arities

    def warmed(folder, power=1.0, name=name, **changes):
        law = PowerLaw(scale_ms=0.01, power=power)
        controller = make_controller(name, arities, seed=0)
        return run(folder, controller=controller, latency_warmup=[law], **changes)

    first = warmed(tmp_path / "whole")
    log = (tmp_path / "whole/trials.jsonl").read_text()
    shutil.copytree(tmp_path / "whole", tmp_path / "cut")
    (tmp_path / "cut/trials.jsonl").write_text("".join(log.splitlines(keepends=True)[:3]))
    assert warmed(tmp_path / "cut").winner.tokens == first.winner.tokens
    tokens = [json.loads(line)["tokens"] for line in log.splitlines()]
    again = (tmp_path / "cut/trials.jsonl").read_text().splitlines()
    assert [json.loads(line)["tokens"] for line in again] == tokens
    with pytest.raises(InputError, match=r"latency_warmup\.0\.power was 1\.0"):
        warmed(tmp_path / "whole", power=0.5)
    # What can make nothing of it begins as ever, and says nothing of it.
    plain = warmed(tmp_path / "plain", name="evolution")
    own = run(tmp_path / "own", controller=make_controller("evolution", arities, seed=0))
    assert [t.tokens for t in plain.trials] == [t.tokens for t in own.trials]
    assert json.loads((tmp_path / "plain/run.json").read_text())["latency_warmup"] == []
    two = {"latency": [open_device("madds:1"), open_device("pixel1")], "target_ms": [1.0, 2.0]}
    with pytest.raises(InputError, match="latency_warmup has 1 laws for 2 devices"):
        warmed(tmp_path / "two", **two)


def test_each_of_several_devices_is_named(tmp_path):
    two = {"latency": [open_device("madds:1"), open_device("pixel1")], "target_ms": [1.0, 2.0]}
    result = run(tmp_path, **two)
    assert len(result.winner.latencies) == 2
    log = (tmp_path / "trials.jsonl").read_bytes()
    assert run(tmp_path, **two).winner == result.winner
    with pytest.raises(InputError, match=r"other_devices\.0\.target_ms was 2\.0 .* is 3\.0 now"):
        run(tmp_path, **two | {"target_ms": [1.0, 3.0]})
    for latency, target_ms in ([two["latency"][0], 1.0], [two["latency"][::-1], [1.0, 2.0]]):
        with pytest.raises(InputError, match="device"):
            run(tmp_path, latency=latency, target_ms=target_ms)
    assert (tmp_path / "trials.jsonl").read_bytes() == log


@pytest.mark.parametrize(
    ("latency", "target_ms", "problem"),
    [
        (["madds:1", "pixel1"], 1.0, "there are 2 devices and 1 target_ms: give one per device"),
        (["madds:1"], [1.0, 2.0], "there are 1 devices and 2 target_ms"),
        ([], [], "there are 0 devices"),
        (["madds:1", "pixel1"], [1.0, 0.0], "target_ms must be above 0, got 0"),
        (["madds:1", "madds:1.0"], [1.0, 2.0], "estimate at 1 G MAdds/s is given twice"),
    ],
)
def test_devices_and_targets_that_do_not_fit(tmp_path, latency, target_ms, problem):
    with pytest.raises(InputError, match=problem):
        run(tmp_path / "new", latency=[open_device(d) for d in latency], target_ms=target_ms)
    assert not (tmp_path / "new").exists()


def test_a_reward_of_ones_own_gets_numbers_of_one_device_and_tuples_of_several(tmp_path):
    seen = []

    def reward(accuracy, latency_ms, *, target_ms):
        seen.append((type(latency_ms), target_ms))
        return accuracy

    run(tmp_path / "one", reward=reward)
    run(
        tmp_path / "two",
        reward=reward,
        latency=[open_device("madds:1"), open_device("pixel1")],
        target_ms=[1.0, 2.0],
    )
    assert set(seen) == {(float, 1.0), (tuple, (1.0, 2.0))}


def test_a_record_of_an_earlier_version_says_less(tmp_path):
    run(tmp_path)
    facts = json.loads((tmp_path / "run.json").read_text())
    del facts["training"], facts["data"]["mean"], facts["other_devices"], facts["device"]["make"]
    (tmp_path / "run.json").write_text(json.dumps(facts))
    log = (tmp_path / "trials.jsonl").read_bytes()
    run(tmp_path)
    assert (tmp_path / "trials.jsonl").read_bytes() == log
    assert "training" in json.loads((tmp_path / "run.json").read_text())


@pytest.mark.parametrize("changes", [{"trials": 0}, {"batch_size": 0}])
def test_a_search_of_nothing_is_refused(tmp_path, changes):
    with pytest.raises(InputError, match="must be at least 1, got 0"):
        run(tmp_path / "new", **changes)
    assert not (tmp_path / "new").exists()


def test_trials_that_wait_for_their_turn_are_trials_of_the_same_run(tmp_path):
    """The first of the log may be the last to end, and the run be killed before."""
    run(tmp_path)
    first, *later = (tmp_path / "trials.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "trials.jsonl").unlink()
    (tmp_path / "trials.ahead.jsonl").write_text(later[0])
    with pytest.raises(InputError, match=r"training\.recipe\.steps was 2 .* is 3 now"):
        run(tmp_path, recipe=Recipe(steps=3, batch_size=8))
    again = run(tmp_path)
    assert [trial.index for trial in again.trials] == list(range(4))
    assert first.split('"time"')[0] == (tmp_path / "trials.jsonl").read_text().split('"time"')[0]


def test_a_search_of_two_networks_that_both_fail_says_why(tmp_path):
    def bad(_job):
        raise ValueError("no such layer")

    with pytest.raises(
        RunStoppedError, match="every training failed, for instance: ValueError: no such layer"
    ):
        run(tmp_path, trials=2, evaluate=bad)


@pytest.mark.parametrize(("noisy", "there"), [(True, True), (False, False)])
def test_where_noise_hides_the_best_the_fastest_is_written(tmp_path, noisy, there):
    """The repeat reads far from the first reading, or just as it did."""

    def evaluate(job):
        return Outcome(0.5 + job.index / 100 + (0.2 if noisy and job.kind == "repeat" else 0.0))

    result = run(tmp_path, evaluate=evaluate, finals=FinalsConfig(count=1, repeats=1))
    assert result.noise.differ is not noisy
    assert (tmp_path / "fastest.yaml").exists() is there
    if there:
        fastest = min(result.trials, key=lambda trial: trial.latency_ms)
        assert load(tmp_path / "fastest.yaml").fingerprint == fastest.fingerprint
