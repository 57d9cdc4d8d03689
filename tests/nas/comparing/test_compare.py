"""Comparisons end to end: what is trained, what is kept, and that no interruption changes the table."""

import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import pytest

from latency import MeasurementError, open_device
from nas import run_compare
from nas.checkpoints.checkpoint import Checkpoint, load_checkpoint
from nas.comparing import latencies
from nas.comparing.config import CompareConfig
from nas.comparing.contestant import Contestant
from nas.comparing.training import CompareTraining
from nas.data.config import DataConfig
from nas.engine.job import Outcome
from nas.engine.runner import RunStoppedError
from nas.engine.schedule_config import ScheduleConfig
from nas.formatting import percent
from nas.run_compare import compare
from nas.training.recipe import Recipe
from nas.training.teacher_config import TeacherConfig
from search_spaces import InputError
from tests.nas.adapting.test_adapt import DATA, SEED, SPEC

RECIPE = Recipe(steps=2, batch_size=16)
CONFIG = CompareConfig(
    data=DataConfig(source="noise"),
    finetune=RECIPE,
    from_scratch=RECIPE,
    rates=(0.5, 1.0),
    seeds=2,
    schedule=ScheduleConfig(workers=0),
)
NETWORKS = (Contestant("tuned", SPEC, SEED), Contestant("new", SPEC))


@pytest.fixture
def trained(monkeypatch):
    """The names of the trainings that have really run; the last of `dies_at` is interrupted."""
    names = []

    class Counted(CompareTraining):
        dies_at = None

        def __call__(self, job):
            names.append(job.name)
            if len(names) == Counted.dies_at:
                raise KeyboardInterrupt
            return super().__call__(job)

    monkeypatch.setattr(run_compare, "CompareTraining", Counted)
    return SimpleNamespace(names=names, interrupt=Counted)


def run(folder, *, networks=NETWORKS, config=CONFIG, **other):
    return compare(
        networks,
        images={32: DATA},
        latency=[open_device("madds:1")],
        config=config,
        folder=folder,
        **other,
    )


def test_each_network_is_trained_at_each_rate_and_then_with_each_seed(trained, tmp_path):
    result = run(tmp_path / "one")
    assert (
        len(trained.names) == 2 * 2 + 2
    )  # the first seed at the best rate is known from the choice
    assert [row.name for row in result.rows] == ["tuned", "new"]
    for row in result.rows:
        assert sorted(row.evidence) == [0, 1]
        assert row.rate in (0.5, 1.0)
        assert len(row.evidence[0]) == len(DATA.test)
        assert load_checkpoint(row.files[0]).spec == replace(SPEC, resolution=32)


def test_the_rate_is_that_of_the_highest_held_out_metric(monkeypatch, tmp_path):
    real = CompareTraining.__call__

    def better_at_half(self, job):
        outcome = real(self, job)
        halved = job.recipe.learning_rate == 0.5 * RECIPE.learning_rate
        return replace(outcome, accuracy=0.9 if halved else 0.1)

    monkeypatch.setattr(CompareTraining, "__call__", better_at_half)
    result = run(tmp_path / "one")
    assert [row.rate for row in result.rows] == [0.5, 0.5]


def test_the_latency_is_that_of_the_device(tmp_path):
    small = Contestant("small", replace(SPEC, blocks=SPEC.blocks[:4]))
    result = run(tmp_path / "one", networks=(NETWORKS[0], small))
    reads = [row.latencies[0] for row in result.rows]
    device = open_device("madds:1")
    assert [read.ms for read in reads] == [
        device.latency(spec).median_ms for spec in (SPEC, small.spec)
    ]
    assert reads[1].of_first == reads[1].ms / reads[0].ms


def test_nothing_is_trained_twice(trained, tmp_path):
    run(tmp_path / "one")
    before = len(trained.names)
    again = run(tmp_path / "two")
    assert len(trained.names) == before
    more = run(tmp_path / "three", config=CONFIG.model_copy(update={"seeds": 3}))
    assert len(trained.names) == before + 2  # a third seed of each
    assert again.rows[0].percent == more.rows[0].percent[:2]


def test_equal_networks_are_trained_once(trained, tmp_path):
    result = run(tmp_path / "one", networks=(NETWORKS[0], replace(NETWORKS[0], name="twin")))
    assert len(trained.names) == 3
    assert result.differences[1].points == 0


def test_removed_trainings_are_trained_again(trained, tmp_path):
    first = run(tmp_path / "one")
    shutil.rmtree(tmp_path / "trainings")
    before = len(trained.names)
    again = run(tmp_path / "one")
    assert len(trained.names) == 2 * before
    assert [row.percent for row in again.rows] == [row.percent for row in first.rows]


def test_all_trainings_failing_stops_it(monkeypatch, tmp_path):
    monkeypatch.setattr(CompareTraining, "__call__", lambda *_: Outcome(None, "diverged: nan"))
    with pytest.raises(RunStoppedError, match="all 4 trials of a batch failed: diverged: nan"):
        run(tmp_path / "one")


def test_a_refused_network_is_named(monkeypatch, tmp_path):
    def refuses(*_, **__):
        raise MeasurementError("new: no such operator")

    monkeypatch.setattr(latencies, "read_together", refuses)
    with pytest.raises(InputError, match=r"new: no such operator: leave the network out"):
        run(tmp_path / "one")


def test_a_new_classifier_is_drawn_for_each_seed(monkeypatch, tmp_path):
    drawn = []
    real = Checkpoint.with_classes

    def noted(self, classes, **options):
        drawn.append(options["generator"].initial_seed())
        return real(self, classes, **options)

    monkeypatch.setattr(Checkpoint, "with_classes", noted)
    one = CONFIG.model_copy(update={"rates": (1.0,)})
    run(
        tmp_path / "one", networks=(replace(NETWORKS[0], new_classes=True), NETWORKS[1]), config=one
    )
    assert drawn == [0, 1]


def test_frozen_statistics_of_another_network_are_refused(tmp_path):
    frozen = CONFIG.model_copy(
        update={"finetune": RECIPE.model_copy(update={"frozen_norms": True})}
    )
    cut = replace(NETWORKS[0], inherited=True)
    with pytest.raises(
        InputError, match="frozen_norms keeps batch norm statistics, and those of tuned"
    ):
        run(tmp_path / "one", networks=(cut, NETWORKS[1]), config=frozen)


def test_another_recipe_is_another_training(trained, tmp_path):
    run(tmp_path / "one")
    before = len(trained.names)
    longer = CONFIG.model_copy(update={"finetune": Recipe(steps=3, batch_size=16)})
    run(tmp_path / "two", config=longer)
    assert (
        len(trained.names) == before + 3
    )  # of the tuned network; the new one's recipe is the same


@pytest.mark.parametrize("dies_at", [1, 3, 6])
def test_an_interrupted_comparison_ends_with_the_same_table(trained, tmp_path, dies_at):
    whole = run(tmp_path / "whole", trainings=tmp_path / "others")
    trained.names.clear()
    trained.interrupt.dies_at = dies_at
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "stopped")
    trained.interrupt.dies_at = None
    resumed = run(tmp_path / "stopped")
    assert len(trained.names) == 6 + 1  # only the interrupted one twice
    for ours, theirs in zip(resumed.rows, whole.rows, strict=True):
        assert (ours.rate, ours.percent) == (theirs.rate, theirs.percent)
    table, other = ((tmp_path / name / "compare.md").read_text() for name in ("stopped", "whole"))
    assert table == other


def test_a_failed_training_is_left_out_and_named(monkeypatch, tmp_path):
    real = CompareTraining.__call__

    def diverges(self, job):
        if job.place == 1 and job.seed == 1:
            return Outcome(None, "diverged: loss is nan")
        return real(self, job)

    monkeypatch.setattr(CompareTraining, "__call__", diverges)
    result = run(tmp_path / "one")
    assert sorted(result.rows[1].evidence) == [0]
    assert result.rows[1].errors == ("diverged: loss is nan",)
    assert result.differences[1].seeds == 1


def test_a_teacher_makes_another_training(trained, tmp_path):
    run(tmp_path / "one")
    before = len(trained.names)
    taught = CONFIG.model_copy(update={"teacher": TeacherConfig(path="seed.pt")})
    run(tmp_path / "two", config=taught, teacher=SEED)
    assert len(trained.names) == 2 * before


def test_the_first_network_comes_with_its_card(tmp_path):
    result = run(tmp_path / "one")
    first = result.rows[0]
    seed = max(first.held_out, key=first.held_out.get)
    kept, trained = (
        load_checkpoint(path) for path in (tmp_path / "one" / "network.pt", first.files[seed])
    )
    assert kept.spec == trained.spec
    text = (tmp_path / "one" / "card.md").read_text()
    assert text.startswith("# tuned\n\nA classifier of 2 classes: dark, light.")
    assert f"`network.pt`, seed {seed}: {percent(first.evidence[seed].score().accuracy)}" in text
    assert "{" not in text


def test_the_folder_has_the_result(tmp_path):
    result = run(tmp_path / "one")
    document = json.loads((tmp_path / "one" / "compare.json").read_text())
    assert document == json.loads(json.dumps(result.to_dict()))
    assert (
        (tmp_path / "one" / "compare.csv").read_text().startswith("network,from_scratch,px,params")
    )


@pytest.mark.parametrize(
    ("networks", "message"),
    [
        (NETWORKS[:1], "needs two networks, got tuned"),
        ((NETWORKS[0], NETWORKS[0]), "two networks are called 'tuned'"),
        (
            (NETWORKS[0], Contestant("large", replace(SPEC, resolution=64))),
            "images at 64 px are missing",
        ),
    ],
)
def test_networks_that_cannot_be_compared(tmp_path, networks, message):
    with pytest.raises(InputError, match=message):
        run(tmp_path / "one", networks=networks)


def test_a_folder_of_other_networks_is_refused(tmp_path):
    run(tmp_path / "one")
    other = Contestant("other", SPEC)
    with pytest.raises(InputError, match="compares other networks"):
        run(tmp_path / "one", networks=(NETWORKS[0], other))
