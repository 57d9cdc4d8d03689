"""The adapted network beside others of its latency: alike in all but the network, and never lost."""

import json
from dataclasses import replace

import pytest
import torch

from latency import open_device
from nas.adapting.baselines import Found, read_baselines
from nas.adapting.config import AdaptConfig
from nas.adapting.final_training import curve_steps
from nas.adapting.results.record import AdaptRecord
from nas.checkpoints.scoring import score
from nas.checkpoints.torch_files import state_of
from nas.engine.folder.run_folder import RunFolder
from nas.run_adapt import adapt
from nas.training.recipe import Recipe
from netadapt import Widths, narrowed, narrowest, scaled, width_groups
from netadapt.weights import inherit
from search_spaces import InputError, count
from tests.nas.adapting.test_adapt import CONFIG, DATA, SEED, SPEC, Trainer, logged, run

COMPARED = CONFIG.model_copy(update={"compare": "uniform", "compare_seeds": 3})


class Seeded(Trainer):
    """Its accuracies also differ by seed."""

    def skill(self, job):
        return super().skill(job) + job.seed % 100 / 1e4


def by_kind(trainer):
    kinds = {}
    for job in trainer.jobs:
        kinds.setdefault(job.kind, []).append(job)
    return kinds


@pytest.mark.slow
def test_both_are_trained_alike(tmp_path):
    trainer = Seeded()
    result = run(tmp_path, trainer, COMPARED)
    jobs = by_kind(trainer)
    (baseline,) = result.baselines
    assert baseline.latency.median_ms <= result.latency.median_ms < result.seed_latency.median_ms
    multiplier = float(baseline.about.removeprefix("width multiplier "))
    assert baseline.spec == scaled(SPEC, multiplier)
    wider = scaled(SPEC, multiplier + 0.001)
    assert count(wider).madds / 1e6 > result.latency.median_ms

    for kind, theirs in (("scratch", "uniform-scratch"), ("finetune", "uniform-finetune")):
        assert [job.index for job in sorted(jobs[theirs], key=lambda j: j.index)] == [0, 1, 2]
        assert {job.seed for job in jobs[kind]} == {job.seed for job in jobs[theirs]}
        assert len({job.seed for job in jobs[kind]}) == 3
        assert {job.spec.fingerprint for job in jobs[theirs]} == {baseline.spec.fingerprint}
    recipe = COMPARED.final_recipe
    assert {job.recipe for job in jobs["scratch"] + jobs["uniform-scratch"]} == {recipe}
    assert {job.recipe for job in jobs["finetune"]} == {recipe}
    steps = len(result.family) * COMPARED.recipe.steps + recipe.steps
    assert {job.recipe.steps for job in jobs["uniform-finetune"]} == {steps}
    assert {job.weights for job in jobs["scratch"] + jobs["uniform-scratch"]} == {None}
    started = state_of(jobs["uniform-finetune"][0].weights)
    cut = inherit(SPEC, SEED.weights, baseline.spec)
    assert all(torch.equal(started[name], tensor) for name, tensor in cut.items())


def test_the_family_gets_a_curve_of_multipliers_beside_it(tmp_path):
    trainer = Seeded()
    result = run(tmp_path, trainer, COMPARED)
    steps = curve_steps(len(result.family))
    curve = sorted(by_kind(trainer)["uniform-curve"], key=lambda job: job.index)
    assert [job.index for job in curve] == steps
    for job in curve:
        assert job.latency.median_ms <= result.family[job.index - 1].latency_ms
        assert job.recipe.steps == job.index * COMPARED.recipe.steps


def test_the_curve_may_be_left_out(tmp_path):
    trainer = Seeded()
    run(tmp_path, trainer, COMPARED, curve=False)
    kinds = set(by_kind(trainer))
    assert "uniform-finetune" in kinds
    assert "uniform-curve" not in kinds


def test_the_result_has_the_comparison(tmp_path):
    trainer = Seeded()
    result = run(tmp_path, trainer, COMPARED)
    scratch, finetune = result.comparisons
    assert (scratch.training, finetune.training) == ("scratch", "finetune")
    jobs = sorted(by_kind(trainer)["uniform-scratch"], key=lambda job: job.index)
    # On test images: what is told of them is what the weights that are kept do.
    assert scratch.images == "test"
    kept = [(tmp_path / "weights" / f"uniform-scratch-{job.index}.pt").read_bytes() for job in jobs]
    (baseline,) = result.baselines
    accuracies = [
        score(
            replace(SEED, spec=baseline.spec, weights=state_of(weights)), DATA, ("test",)
        ).accuracy
        for weights in kept
    ]
    assert scratch.theirs == tuple(accuracies)
    names = {f"{job.kind}-{job.index}" for job in trainer.jobs if job.batch == len(result.family)}
    assert set(result.tested) == {name for name in names if "curve" not in name}
    best = result.finals[0]
    assert result.test_accuracy == result.tested[f"{best.kind}-{best.index}"]
    assert json.loads((tmp_path / "tests.json").read_text()) == result.tested
    held_out = [t for t in AdaptRecord.read(result.folder).finals if t.kind == "uniform-scratch"]
    assert [t.accuracy for t in held_out] == [trainer.skill(job) for job in jobs]
    document = json.loads((tmp_path / "result.json").read_text())
    assert document["comparisons"][0]["points"] == pytest.approx(scratch.points, abs=1e-3)
    assert document["rivals"][0]["name"] == "uniform"


SHORT = COMPARED.model_copy(update={"target_ms": 0.85 * count(SPEC).madds / 1e6})


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """A run's trainer, and its result."""
    trainer = Seeded()
    return trainer, run(tmp_path_factory.mktemp("whole"), trainer, SHORT)


@pytest.mark.parametrize("dies_after", [1, 9])
def test_no_interruption_of_it_changes_anything(tmp_path, uninterrupted, dies_after):
    whole, expected = uninterrupted
    before = len(by_kind(whole)["proposal"])
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "broken", Seeded(before + dies_after), SHORT)
    again = Seeded()
    result = run(tmp_path / "broken", again, SHORT)
    assert len(again.jobs) == len(whole.jobs) - before - dies_after
    assert logged(tmp_path / "broken") == logged(expected.folder.path)
    assert result.to_dict() == expected.to_dict()


def test_it_can_be_asked_for_later_and_of_more_seeds(tmp_path):
    config = CONFIG.model_copy(update={"target_ms": 0.85 * count(SPEC).madds / 1e6})
    alone = run(tmp_path, Seeded(), config)
    compared = {"compare": "uniform", "compare_seeds": 2}
    second = Seeded()
    run(tmp_path, second, config.model_copy(update=compared))
    kinds = {kind: len(jobs) for kind, jobs in by_kind(second).items()}
    curve = kinds.pop("uniform-curve")
    assert curve == len(alone.family)
    assert kinds == {"scratch": 1, "finetune": 1, "uniform-scratch": 2, "uniform-finetune": 2}
    third = Seeded()
    result = run(tmp_path, third, config.model_copy(update=compared | {"compare_seeds": 3}))
    assert sorted(by_kind(third)) == ["finetune", "scratch", "uniform-finetune", "uniform-scratch"]
    assert len(third.jobs) == 4
    assert [len(comparison.ours) for comparison in result.comparisons] == [3, 3]


def pruned(request):
    """A baseline of one's own: one block narrowed until the latency is met, weights of its own making."""
    (group,) = (g for g in width_groups(request.seed.spec) if g.name == "block 4 expansion")
    child = narrowed(request.seed.spec, group, 8)
    if request.latency(child) > request.limit_ms:
        child = narrowest(request.seed.spec, Widths())
    return Found(child, "block 4 pruned", inherit(SPEC, request.seed.weights, child))


def test_baselines_of_ones_own_join_in(tmp_path):
    trainer = Seeded()
    baselines = {"pruned": pruned, "untrained": lambda c: replace(pruned(c), weights=None)}
    baselines["impossible"] = lambda request: None
    result = adapt(
        SEED, data=DATA, latency=open_device("madds:1"), config=COMPARED, folder=tmp_path,
        evaluate=trainer, baselines=baselines,
    )  # fmt: skip
    assert [baseline.name for baseline in result.baselines] == ["uniform", "pruned", "untrained"]
    told = [(c.baseline, c.training) for c in result.comparisons]
    assert told == [
        ("uniform", "scratch"), ("uniform", "finetune"), ("pruned", "scratch"),
        ("pruned", "finetune"), ("untrained", "scratch"),
    ]  # fmt: skip
    kept = read_baselines(RunFolder(tmp_path))
    assert kept["pruned"].spec == result.baselines[1].spec
    assert kept["untrained"].weights is None
    again = Seeded()
    adapt(
        SEED, data=DATA, latency=open_device("madds:1"), config=COMPARED, folder=tmp_path,
        evaluate=again, baselines=dict.fromkeys(baselines, None),
    )  # fmt: skip  # what was found is not sought again
    assert again.jobs == []


@pytest.mark.parametrize("name", ["scratch", "proposal", "Mine", "a/b", "../up", "", "a b"])
def test_names_that_a_log_cannot_have_are_refused(tmp_path, name):
    with pytest.raises(InputError, match="give it a name of lower-case letters"):
        adapt(
            SEED, data=DATA, latency=open_device("madds:1"), config=CONFIG, folder=tmp_path / "run",
            evaluate=Trainer(), baselines={name: pruned},
        )  # fmt: skip
    assert not (tmp_path / "run").exists()


def test_a_comparison_needs_a_last_training():
    with pytest.raises(ValueError, match="trains nothing to compare"):
        type(CONFIG).model_validate(COMPARED.model_dump() | {"final": "none"})


def test_what_has_been_trained_goes_on_at_the_proposals_lower_rate():
    config = AdaptConfig(target_ms=1.0)
    rates = {kind: recipe.learning_rate for kind, recipe in config.final_recipes.items()}
    assert rates == {"scratch": Recipe().learning_rate, "finetune": config.recipe.learning_rate}
    given = AdaptConfig(target_ms=1.0, final_recipe=Recipe(epochs=3, learning_rate=0.02))
    assert {recipe.learning_rate for recipe in given.final_recipes.values()} == {0.02}
