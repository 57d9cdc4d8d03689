"""When trials are too short to advise anything else: few steps, accuracies near chance."""

import json
from dataclasses import replace

import numpy as np
import pytest

from controllers import make_controller
from latency import open_device
from nas import search
from nas.checkpoints.scoring import Relabelled, relabelled
from nas.checkpoints.usage import Usage
from nas.data.images import ArraySplit
from nas.data.streaming import StreamingSplit
from nas.engine.job import Outcome
from nas.engine.watching import Silent
from nas.searching.config import FinalsConfig
from nas.searching.planning.evidence import FEW_STEPS, Evidence, advice_after, evidence_of
from nas.searching.results.record import RunRecord
from nas.tasks.classification import Classification
from nas.training.recipe import Recipe
from search_spaces import load_space
from tests.nas.adapting.test_adapt import DATA

SIX = 1 / 6


def evidence(*, steps=200, networks=16, best=0.6, chance=SIX, held_out=300):
    return Evidence(steps, networks, best, chance, held_out)


@pytest.mark.parametrize("steps", [1, 4, 22, FEW_STEPS - 1])
def test_few_steps_are_a_reason_to_train_longer(steps):
    reason = evidence(steps=steps).too_early()
    assert reason.startswith("Train longer before running more trials: ")
    assert f"{steps} step" in reason


@pytest.mark.parametrize("steps", [FEW_STEPS, 200, None])
def test_enough_steps_are_none(steps):
    assert evidence(steps=steps).too_early() is None


@pytest.mark.parametrize(
    ("best", "given", "early"),
    [
        (SIX, {}, True),
        (0.2, {}, True),  # 1.5 standard errors of 300 images above
        (0.54, {}, False),
        (0.12, {"chance": 0.1, "held_out": 2500, "networks": 100}, True),
        (0.14, {"chance": 0.1, "held_out": 2500, "networks": 100}, False),
        (0.9, {"chance": 0.9}, True),  # of the images, most are of one class
        (0.97, {"chance": 0.9}, False),
    ],
)
def test_accuracies_near_chance_are_a_reason(best, given, early):
    reason = evidence(best=best, **given).too_early()
    assert (reason is not None) == early
    if early:
        assert "is not above chance" in reason


def test_noisy_readings_need_more_above_chance():
    assert evidence(best=0.4).too_early() is None
    assert evidence(best=0.4).too_early(noise=10.0) is not None


def test_networks_that_have_learned_nothing_are_known_as_such():
    """The best of many that answer at random: by luck hardly one search in twenty looks better."""
    luck = np.random.default_rng(0)
    for networks in (4, 16, 100):
        best = luck.binomial(300, SIX, size=(2000, networks)).max(axis=1) / 300
        early = [evidence(best=value, networks=networks).near_chance() for value in best]
        assert np.mean(early) > 0.93


def split(labels):
    return ArraySplit(np.zeros((len(labels), 3, 8, 8), np.uint8), np.array(labels, np.int64))


def under_other_labels(split, places):
    return Relabelled(split, np.array(places, np.int64))


class Unknown:
    def __len__(self):
        return 3


@pytest.mark.parametrize(
    ("held_out", "chance"),
    [
        (split([0, 1, 2, 3]), 0.25),
        (split([0, 0, 0, 1]), 0.75),
        (StreamingSplit(split([0, 0, 0, 1]), 8), 0.75),
        # The lookup table alone, [3, 1], would look like a balanced data set.
        (under_other_labels(split([0, 0, 0, 1]), [3, 1]), 0.75),
        (under_other_labels(StreamingSplit(split([0, 0, 0, 1]), 8), [3, 1]), 0.75),
        # Two folders of one class; and a table that is less even than the images.
        (under_other_labels(split([0, 1, 2, 2]), [0, 0, 1]), 0.5),
        (under_other_labels(split([0, 1, 2, 3]), [2, 0, 3, 1]), 0.25),
        (under_other_labels(under_other_labels(split([0, 0, 0, 1]), [1, 0]), [3, 2]), 0.75),
        (under_other_labels(Unknown(), [3, 1]), 0.25),
        (split([]), 0.25),
        (Unknown(), 0.25),
    ],
)
def test_chance_is_the_largest_class(held_out, chance):
    assert Classification().chance(held_out, classes=4) == chance


def accuracy_of(job):
    return Outcome(0.85 + job.index / 100 + (0.001 if job.kind == "repeat" else 0.0))


def chance_alone(job):
    return Outcome(0.5 + (job.seed % 100) / 1e4)


def searched(folder, *, evaluate, repeats=4, **more):
    space = load_space("mnasnet", resolution=32, classes=2)
    return search(
        space, controller=make_controller("uniform", space.arities, seed=0),
        latency=open_device("madds:1"), data=DATA, target_ms=5.0, folder=folder, trials=8,
        batch_size=4, finals=FinalsConfig(count=1, repeats=repeats), evaluate=evaluate,
        recipe=Recipe(steps=2, batch_size=8), watcher=more.pop("watcher", Silent()), **more,
    )  # fmt: skip


def test_chance_of_relabelled_data():
    """Three of four images are of the network's class 3, whatever order its classes have."""
    data = replace(DATA, val=split([0, 0, 0, 1]))
    usage = Usage(("a", "light", "b", "dark"), 32, DATA.mean, DATA.std)
    known = relabelled(data, usage)
    assert known.val.labels.tolist() == [3, 3, 3, 1]
    assert Classification().chance(known.val, classes=len(known.classes)) == 0.75


def test_a_run_tells_its_evidence(tmp_path):
    result = searched(tmp_path, evaluate=accuracy_of)
    run = RunRecord.read(result.folder)
    found = evidence_of(run)
    assert (found.steps, found.networks, found.held_out) == (None, 8, len(DATA.val))
    assert found.best == pytest.approx(0.92)
    assert found.chance == run.result.chance >= 0.5
    assert advice_after(run).startswith("Given this noise, the best of 8 trials is expected to be")


def test_a_run_whose_trials_are_short_says_so_also_where_nothing_was_repeated(tmp_path):
    result = searched(tmp_path, evaluate=accuracy_of, repeats=0)
    assert advice_after(RunRecord.read(result.folder)) is None
    path = tmp_path / "run.json"
    facts = json.loads(path.read_text())
    facts["training"]["by_recipe"] = True
    path.write_text(json.dumps(facts))
    advice = advice_after(RunRecord.read(result.folder))
    assert advice.startswith(
        "Train longer before running more trials: 2 steps per trial are too few"
    )
    assert "Train longer" in (tmp_path / "report.html").read_text() or "best use" not in advice


def test_a_run_near_chance_is_not_told_to_run_more(tmp_path):
    result = searched(tmp_path, evaluate=chance_alone)
    advice = advice_after(RunRecord.read(result.folder))
    assert "is not above chance" in advice
    assert "best use" not in advice
    assert "is not above chance" in (tmp_path / "report.html").read_text()
