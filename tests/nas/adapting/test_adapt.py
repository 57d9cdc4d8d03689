"""NetAdapt over a run folder: its choices, and that no interruption changes them."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from latency import open_device
from nas.adapting.config import AdaptConfig
from nas.adapting.results.record import AdaptRecord
from nas.checkpoints.checkpoint import Checkpoint, load_checkpoint
from nas.checkpoints.scoring import score
from nas.checkpoints.torch_files import state_bytes, state_of
from nas.checkpoints.usage import Usage
from nas.data.images import ArraySplit, Dataset
from nas.engine.job import Outcome
from nas.engine.runner import RunStoppedError
from nas.engine.schedule_config import ScheduleConfig
from nas.run_adapt import adapt
from nas.training.recipe import Recipe
from search_spaces import REFERENCES, InputError, count
from search_spaces.network import build
from search_spaces.spec import load

WHOLE = REFERENCES["mobilenet_v3_small"](width=0.35, resolution=32, classes=2)
SPEC = replace(WHOLE, blocks=WHOLE.blocks[:5], head=replace(WHOLE.head, conv=64, hidden=64))
FULL_MS = count(SPEC).madds / 1e6


def images(number):
    rng = np.random.default_rng(number)
    labels = np.arange(number) % 2
    noise = rng.integers(0, 100, (number, 3, 32, 32))
    return ArraySplit((noise + 100 * labels[:, None, None, None]).astype(np.uint8), labels)


DATA = Dataset(
    name="noise", classes=("dark", "light"), train=images(64), val=images(16), test=images(20),
    resolution_px=32, mean=(0.5, 0.5, 0.5), std=(0.3, 0.3, 0.3),
)  # fmt: skip
SEED = Checkpoint(SPEC, build(SPEC).state_dict(), Usage(DATA.classes, 32, DATA.mean, DATA.std))
CONFIG = AdaptConfig(
    device="madds:1",
    target_ms=0.7 * FULL_MS,
    delta=0.1,
    recipe=Recipe(steps=1, batch_size=16),
    final="both",
    final_recipe=Recipe(steps=2, batch_size=16),
    schedule=ScheduleConfig(workers=0),
)


class Trainer:
    """Gives each network an accuracy of its own, and dies at the `dies_at`th job."""

    def __init__(self, dies_at=None):
        self.dies_at, self.jobs = dies_at, []

    def __call__(self, job):
        from netadapt.transfer import transfer

        if len(self.jobs) == self.dies_at:
            raise KeyboardInterrupt
        self.jobs.append(job)
        if job.weights is None:
            weights = build(job.spec).state_dict()
        else:
            weights = transfer(job.parent, state_of(job.weights), job.spec)
        return Outcome(self.skill(job), weights=state_bytes(weights))

    def skill(self, job):
        return 0.5 + int(job.spec.fingerprint, 16) % 1000 / 2500


def run(folder, trainer=None, config=CONFIG, seed=SEED, **changes):
    return adapt(
        seed, data=DATA, latency=open_device(config.device), config=config, folder=folder,
        evaluate=trainer or Trainer(), **changes,
    )  # fmt: skip


def logged(folder):
    lines = {}
    for name in ("proposals.jsonl", "finals.jsonl"):
        entries = [json.loads(line) for line in (folder / name).read_text().splitlines()]
        lines[name] = [{k: v for k, v in entry.items() if k != "time"} for entry in entries]
    return lines


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """A run's trainer, and its result."""
    trainer = Trainer()
    return trainer, run(tmp_path_factory.mktemp("whole"), trainer)


@pytest.fixture
def finished(uninterrupted, tmp_path):
    """A copy of a finished run's folder."""
    return shutil.copytree(uninterrupted[1].folder.path, tmp_path / "finished")


def test_it_ends_at_the_target_with_the_best_of_each_step(uninterrupted):
    trainer, result = uninterrupted
    folder = result.folder.path
    assert result.reached
    assert result.latency.median_ms <= CONFIG.target_ms < result.seed_latency.median_ms
    assert result.spec == load(folder / "adapted.yaml")
    proposals = [job for job in trainer.jobs if job.kind == "proposal"]
    accuracy, latency_ms = result.seed_accuracy, result.seed_latency.median_ms
    for step, chosen in enumerate(result.family):
        of_step = [job for job in proposals if job.batch == step]
        assert len({job.seed for job in of_step}) == 1  # the same data in the same order
        assert len({job.parent.fingerprint for job in of_step}) == 1
        ratios = {
            job.index: (trainer.skill(job) - accuracy)
            / (latency_ms - max(job.latency.median_ms, CONFIG.target_ms))
            for job in of_step
        }
        assert chosen.index == max(ratios, key=lambda index: (ratios[index], -index))
        plan = json.loads((folder / "plans" / f"step-{step}.json").read_text())
        halvings = np.log2(0.1 * FULL_MS / plan["delta_ms"])
        assert halvings == pytest.approx(round(halvings)) or step == len(result.family) - 1
        assert all(job.latency.median_ms <= latency_ms - plan["delta_ms"] + 1e-9 for job in of_step)
        accuracy, latency_ms = chosen.accuracy, chosen.latency_ms
        kept = torch.load(folder / "family" / f"step-{step + 1}.pt", weights_only=True)
        build(load(folder / "family" / f"step-{step + 1}.yaml")).load_state_dict(kept)
    assert [trial.kind for trial in result.finals] == ["scratch", "finetune"]


@pytest.mark.parametrize("dies_at", [4, -1])  # test_crashes.py has the others
def test_no_interruption_changes_anything(tmp_path, uninterrupted, dies_at):
    whole, expected = uninterrupted
    moment = dies_at if dies_at >= 0 else len(whole.jobs) + dies_at
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "broken", Trainer(moment))
    again = Trainer()
    result = run(tmp_path / "broken", again)
    assert logged(tmp_path / "broken") == logged(expected.folder.path)
    assert result.spec == expected.spec
    assert len(again.jobs) == len(whole.jobs) - moment
    first, second = (load_checkpoint(it.folder / "adapted.pt") for it in (expected, result))
    assert all(torch.equal(first.weights[key], second.weights[key]) for key in first.weights)


BACK = CONFIG.model_copy(update={"target_ms": 0.8 * FULL_MS, "tolerance": 0.002})
"""Its last step gives back, with two proposals."""
PLAIN = BACK.model_copy(update={"tolerance": 1.0})


@pytest.fixture(scope="module")
def widened(tmp_path_factory):
    """The trainer of a run that widens at its end, and its result."""
    trainer = Trainer()
    return trainer, run(tmp_path_factory.mktemp("widened"), trainer, BACK)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """The result of the same run without widening."""
    return run(tmp_path_factory.mktemp("plain"), config=PLAIN)


def test_the_way_may_end_with_width_given_back(widened, plain):
    trainer, result = widened
    assert [t.fingerprint for t in plain.family] == [
        t.fingerprint for t in result.family[: len(plain.family)]
    ]
    latencies = [trial.latency_ms for trial in result.family[len(plain.family) - 1 :]]
    assert len(latencies) > 1
    assert latencies == sorted(latencies)
    assert latencies[-1] <= BACK.target_ms
    back = [
        job for job in trainer.jobs if job.kind == "proposal" and job.batch >= len(plain.family)
    ]
    for job in back:
        assert count(job.spec).madds > count(job.parent).madds
    record = AdaptRecord.read(result.folder)
    assert [t.fingerprint for _, t in record.family] == [t.fingerprint for t in result.family]
    assert all(step.delta_ms < 0 for step in record.steps[len(plain.family) :])


@pytest.mark.parametrize("dies_at", [-4, -1])
def test_no_interruption_while_widening_changes_anything(tmp_path, widened, dies_at):
    whole, expected = widened
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "broken", Trainer(len(whole.jobs) + dies_at), BACK)
    result = run(tmp_path / "broken", config=BACK)
    assert logged(tmp_path / "broken") == logged(expected.folder.path)
    assert result.to_dict() == expected.to_dict()


def test_what_fails_while_widening_costs_nothing(tmp_path, plain):
    class Fails(Trainer):
        def __call__(self, job):
            lost = job.kind == "proposal" and job.batch >= len(plain.family)
            return Outcome(None, "diverged: loss is nan") if lost else super().__call__(job)

    result = run(tmp_path / "run", Fails(), BACK)
    assert result.reached
    assert result.spec == plain.spec
    assert len(result.finals) == 2
    assert run(tmp_path / "run", Fails(), BACK).to_dict() == result.to_dict()
    assert AdaptRecord.read(result.folder).result is not None


def test_a_finished_run_is_not_run_again(uninterrupted, finished):
    again = Trainer()
    assert run(finished, again).to_dict() == uninterrupted[1].to_dict()
    assert again.jobs == []


def test_real_training_end_to_end(tmp_path):
    config = CONFIG.model_copy(update={"target_ms": 0.9 * FULL_MS})
    source = open_device("madds:1")
    result = adapt(SEED, data=DATA, latency=source, config=config, folder=tmp_path)
    seed = load_checkpoint(tmp_path / "adapted.pt")
    assert seed.spec == result.spec
    logits = seed.network()(torch.rand(2, 3, 32, 32))
    assert torch.isfinite(logits).all()
    assert (tmp_path / "adapted.onnx").stat().st_size > 0
    titles, *rows = (tmp_path / "family.csv").read_text().splitlines()
    assert titles == "step,accuracy,latency_ms,params,madds,px"
    cost = count(SPEC)
    assert rows[0].split(",")[2:] == [str(FULL_MS), str(cost.params), str(cost.madds), "32"]
    # The file that is shipped has the accuracy that is told.
    assert result.onnx.accuracy == score(seed, DATA, ("val",)).accuracy
    assert result.onnx.images == len(DATA.val)
    assert len(rows) == 1 + len(result.family)


def test_a_failed_proposal_is_passed_over(tmp_path):
    class Some(Trainer):
        def __call__(self, job):
            outcome = super().__call__(job)
            fails = job.batch == 0 and job.index % 2 == 0
            return Outcome(None, "diverged: loss is nan") if fails else outcome

    result = run(tmp_path, Some())
    assert result.reached
    assert result.family[0].index % 2


def test_a_step_of_failures_ends_with_the_reason(tmp_path):
    with pytest.raises(RunStoppedError, match=r"all \d+ proposals of a step failed: diverged"):
        run(tmp_path, lambda _: Outcome(None, "diverged: loss is nan"))


def test_a_target_out_of_reach_stops_where_no_group_can_give(tmp_path):
    result = run(
        tmp_path, config=CONFIG.model_copy(update={"target_ms": 0.01 * FULL_MS, "delta": 0.5})
    )
    assert not result.reached
    assert result.latency.median_ms > 0.01 * FULL_MS


def test_accuracy_alone_may_choose(tmp_path):
    trainer = Trainer()
    result = run(tmp_path, trainer, config=CONFIG.model_copy(update={"metric": "accuracy"}))
    first = [job for job in trainer.jobs if job.kind == "proposal" and job.batch == 0]
    best = max(first, key=trainer.skill)
    assert result.family[0].index == best.index


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"seed": replace(SEED, usage=replace(SEED.usage, classes=("a", "b")))},
            "'dark' is not what the",
        ),
        (
            {"config": CONFIG.model_copy(update={"device": "madds:2"})},
            r"device\.name was 'estimate at 1 G",
        ),
    ],
)
def test_what_does_not_fit_is_refused(finished, change, message):
    with pytest.raises(InputError, match=message):
        run(finished, **change)


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("workers", [2])
def test_workers_change_nothing(tmp_path, workers):
    config = CONFIG.model_copy(update={"target_ms": 0.85 * FULL_MS})
    arguments = {"data": DATA, "latency": open_device("madds:1")}
    adapt(SEED, **arguments, config=config, folder=tmp_path / "here")
    schedule = ScheduleConfig(workers=workers)
    there = config.model_copy(update={"schedule": schedule})
    adapt(SEED, **arguments, config=there, folder=tmp_path / "there")
    assert logged(tmp_path / "there") == logged(tmp_path / "here")
