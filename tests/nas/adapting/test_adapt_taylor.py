"""NetAdapt that keeps the channels that matter most to the loss."""

import hashlib
from dataclasses import replace

import pytest
import torch

from latency import open_device
from nas.adapting.baselines import BaselineRequest
from nas.adapting.config import AdaptConfig
from nas.adapting.fine_tuning import AdaptTraining
from nas.adapting.job import AdaptJob
from nas.adapting.ranking import Ranking
from nas.adapting.results.metadata import read_adapt_metadata
from nas.adapting.uniform_baseline import UniformBaseline
from nas.checkpoints import importance
from nas.checkpoints.checkpoint import checkpoint_bytes, load_checkpoint
from nas.checkpoints.importance import channel_order, taylor_importance
from nas.checkpoints.torch_files import state_bytes, state_of
from nas.engine.folder.run_folder import RunFolder
from nas.engine.job import Outcome
from nas.engine.memoized_source import MemoizedSource
from nas.report.adapt.report import render
from nas.run_adapt import adapt
from nas.training.recipe import Recipe
from netadapt import narrowed, width_groups
from netadapt.transfer import transfer
from netadapt.weights import inherit
from search_spaces.channels import channel_counts
from tests.nas.adapting.test_adapt import BACK, CONFIG, DATA, FULL_MS, SEED, SPEC, logged, run

TAYLOR = CONFIG.model_copy(update={"keep": "taylor"})
FROM_PARENT = replace(SEED, from_parent=True)


class Keeps:
    """Gives each network an accuracy that depends on the channels kept; dies at the `dies_at`th job."""

    def __init__(self, dies_at=None):
        self.dies_at, self.jobs = dies_at, []

    def __call__(self, job):
        if len(self.jobs) == self.dies_at:
            raise KeyboardInterrupt
        self.jobs.append(job)
        weights = state_of(job.weights) if job.weights else SEED.network().state_dict()
        parent = job.parent if job.weights else SPEC
        generator = torch.Generator().manual_seed(job.seed)
        kept = transfer(
            parent, weights, job.spec, selection=job.order or "first", generator=generator
        )
        digest = int(hashlib.sha256(state_bytes(kept)).hexdigest(), 16)
        return Outcome(0.5 + digest % 1000 / 2500, weights=state_bytes(kept))


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture
def computed(monkeypatch):
    """The networks whose channels are ordered."""
    networks = []

    def seen(parent, data):
        networks.append(parent.spec.fingerprint)
        return channel_order(parent, data)

    monkeypatch.setattr(importance, "channel_order", seen)
    return networks


def test_each_step_orders_the_channels_of_its_own_network_once(tmp_path, computed):
    trainer = Keeps()
    result = run(
        tmp_path, trainer, TAYLOR.model_copy(update={"compare": "uniform", "tolerance": 1.0})
    )
    proposals = [job for job in trainer.jobs if job.kind == "proposal"]
    parents = list(dict.fromkeys(job.parent.fingerprint for job in proposals))
    assert len(parents) == len(result.family) > 1
    assert computed == parents  # that of the seed serves the baseline too
    for step in range(len(result.family)):
        of_step = [job for job in proposals if job.batch == step]
        weights = state_of(of_step[0].weights)
        network = replace(SEED, spec=of_step[0].parent, weights=weights)
        expected = channel_order(network, DATA)
        assert all(same(job.order, expected) for job in of_step)
        for space, values in taylor_importance(network, DATA).items():
            ordered = values[of_step[0].order[space]].tolist()
            assert ordered == sorted(ordered, reverse=True)
    assert all(job.order is None for job in trainer.jobs if job.kind != "proposal")


def test_a_widening_step_needs_no_order(tmp_path):
    trainer = Keeps()
    run(tmp_path, trainer, BACK.model_copy(update={"keep": "taylor"}))
    wider = [job for job in trainer.jobs if sum(job.spec.widths()) > sum(job.parent.widths())]
    assert all(job.order is None for job in wider)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    trainer = Keeps()
    return trainer, run(tmp_path_factory.mktemp("whole"), trainer, TAYLOR)


@pytest.mark.parametrize("dies_at", [0, 4, -3])
def test_no_interruption_changes_anything(tmp_path, whole, dies_at):
    trainer, expected = whole
    moment = dies_at if dies_at >= 0 else len(trainer.jobs) + dies_at
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "broken", Keeps(moment), TAYLOR)
    again = run(tmp_path / "broken", Keeps(), TAYLOR)
    assert logged(tmp_path / "broken") == logged(expected.folder.path)
    assert again.to_dict() == expected.to_dict()


def test_a_resumed_run_reads_the_orders_of_earlier_steps(tmp_path, computed):
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, Keeps(3), TAYLOR)
    before = list(computed)
    run(tmp_path, Keeps(), TAYLOR)
    assert len(computed) == len(set(computed)) > len(before)


def test_a_proposal_inherits_in_the_order_that_its_job_brings():
    group = next(g for g in width_groups(SPEC) if g.kind == "bottleneck" and g.width > 8)
    spec = narrowed(SPEC, group, 8)
    order = {space: torch.arange(size).flip(0) for space, size in channel_counts(SPEC).items()} | {
        space: torch.arange(channel_counts(SPEC)[space]) for space in ("image", "classes")
    }
    common = {
        "index": 0, "kind": "proposal", "batch": 0, "tokens": (), "spec": spec, "seed": 3, "name": "one",
        "recipe": Recipe(steps=2, batch_size=16),
    }  # fmt: skip
    worker = AdaptTraining(DATA, new_statistics=True)
    job = AdaptJob(**common, parent=SPEC, weights=state_bytes(SEED.weights), order=order)
    by_hand = inherit(SPEC, SEED.weights, spec, selection=order)
    other = AdaptJob(**common, parent=spec, weights=state_bytes(by_hand))
    ours, theirs = (state_of(worker(one).weights) for one in (job, other))
    assert same(ours, theirs)
    kept = state_of(AdaptTraining(DATA)(job).weights)
    assert not torch.equal(ours["stem.1.running_var"], kept["stem.1.running_var"])


def test_the_baseline_keeps_the_seeds_most_important_channels(tmp_path):
    rank = Ranking(SEED, DATA, RunFolder(tmp_path), threads=1)
    request = BaselineRequest(SEED, MemoizedSource(open_device("madds:1")), 0.7 * FULL_MS)
    found = UniformBaseline(rank=rank)(request)
    wanted = inherit(SPEC, SEED.weights, found.spec, selection=channel_order(SEED, DATA))
    assert same(found.weights, wanted)
    assert not same(found.weights, UniformBaseline()(request).weights)


@pytest.mark.parametrize(
    ("seed", "keep", "kept"),
    [
        (SEED, None, "first"),
        (FROM_PARENT, None, "taylor"),
        (FROM_PARENT, "first", "first"),
        (SEED, "norm", "norm"),
    ],
)
def test_a_network_of_a_search_from_a_parent_keeps_channels_by_importance(
    tmp_path, seed, keep, kept
):
    config = CONFIG.model_copy(update={"keep": keep, "target_ms": 0.9 * FULL_MS, "final": "none"})
    trainer = Keeps()
    run(tmp_path, trainer, config, seed)
    assert read_adapt_metadata(tmp_path / "run.json").settings["keep"] == kept
    assert (trainer.jobs[0].order is not None) == (kept == "taylor")
    words = {
        "first": "the first channels are",
        "norm": "norm are",
        "taylor": "matter most to the loss",
    }
    assert words[kept] in render(RunFolder(tmp_path))
    assert load_checkpoint(tmp_path / "adapted.pt").from_parent == seed.from_parent


def test_only_networks_of_a_search_from_a_parent_are_marked(tmp_path):
    for checkpoint in (SEED, FROM_PARENT):
        path = tmp_path / "one.pt"
        path.write_bytes(checkpoint_bytes(checkpoint))
        assert load_checkpoint(path).from_parent == checkpoint.from_parent
    assert AdaptConfig(target_ms=1.0).for_seed(from_parent=False).rule == "first"


def test_real_trainings_end_to_end(tmp_path):
    config = TAYLOR.model_copy(update={"target_ms": 0.9 * FULL_MS, "final": "finetune"})
    result = adapt(
        SEED, data=DATA, latency=open_device("madds:1"), config=config, folder=tmp_path / "one"
    )
    assert result.reached
    again = adapt(
        SEED, data=DATA, latency=open_device("madds:1"), config=config, folder=tmp_path / "two"
    )
    assert logged(tmp_path / "one") == logged(tmp_path / "two")
    assert same(*(load_checkpoint(it.folder / "adapted.pt").weights for it in (result, again)))
