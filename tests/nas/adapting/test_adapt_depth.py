"""A NetAdapt run whose steps may drop blocks: interrupted, forecast and reported like any other."""

import re

import pytest

from latency import open_device
from nas.adapting.fine_tuning import AdaptTraining
from nas.adapting.forecast import Workload, forecast
from nas.adapting.job import AdaptJob
from nas.adapting.results.record import AdaptRecord
from nas.checkpoints.torch_files import state_bytes, state_of
from nas.engine.folder.run_folder import RunFolder
from nas.engine.memoized_source import MemoizedSource
from nas.engine.schedule_config import ScheduleConfig
from nas.report.adapt.report import render
from nas.report.width_table import width_rows
from nas.run_adapt import adapt
from nas.training.recipe import Recipe
from netadapt.shrink import Shrink
from search_spaces.network import build
from tests.nas.adapting.test_adapt import CONFIG, DATA, FULL_MS, SEED, SPEC, Trainer, logged, run

DEEP = CONFIG.model_copy(
    update={"proposals": "widths+depth", "compare": "uniform", "final": "finetune"}
)


class LikesDepth(Trainer):
    """Gives networks with fewer blocks the higher accuracy."""

    def skill(self, job):
        lost = len(SPEC.blocks) - len(job.spec.blocks)
        return super().skill(job) / 10 + 0.2 * lost


@pytest.fixture(scope="module")
def deep(tmp_path_factory):
    """A run that dropped blocks: its trainer and its result."""
    trainer = LikesDepth()
    return trainer, run(tmp_path_factory.mktemp("deep"), trainer, DEEP)


def test_blocks_are_dropped_and_narrowed_further(deep):
    trainer, result = deep
    assert result.reached
    record = AdaptRecord.read(result.folder)
    chosen = [planned.name for planned, _ in record.family]
    assert any(re.fullmatch(r"blocks \d-\d depth \d -> \d", name) for name in chosen), chosen
    assert len(result.spec.blocks) < len(SPEC.blocks)
    steps = [job.batch for job in trainer.jobs if len(job.parent.blocks) < len(SPEC.blocks)]
    assert steps, "a step followed the one that dropped a block"
    # The comparison is with the whole seed at a width multiplier.
    (baseline,) = result.baselines
    assert len(baseline.spec.blocks) == len(SPEC.blocks)


@pytest.mark.parametrize("dies_at", [4, -8])
def test_no_interruption_changes_anything(tmp_path, deep, dies_at):
    whole, expected = deep
    moment = dies_at if dies_at >= 0 else len(whole.jobs) + dies_at
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "broken", LikesDepth(moment), DEEP)
    again = LikesDepth()
    result = run(tmp_path / "broken", again, DEEP)
    assert logged(tmp_path / "broken") == logged(expected.folder.path)
    assert result.to_dict() == expected.to_dict()
    assert len(again.jobs) == len(whole.jobs) - moment


def test_the_report_names_dropped_blocks(deep):
    _, result = deep
    page = render(result.folder)
    assert "stages may lose residual blocks" in page
    assert "channels, dropped" in page
    rows = width_rows(SPEC, result.spec)
    dropped = [row.name for row in rows if row.output[1] == 0]
    assert len(dropped) == len(SPEC.blocks) - len(result.spec.blocks)
    assert all(row.expansion is None or row.expansion[1] == 0 for row in rows if not row.output[1])
    kept = [row.output[1] for row in rows if row.name.startswith("block") and row.output[1]]
    assert kept == [block.out for block in result.spec.blocks]


@pytest.mark.parametrize("delta", [0.02, 0.1])
def test_the_forecast_counts_proposals_of_both_kinds(delta):
    config = DEEP.model_copy(update={"delta": delta})
    source = MemoizedSource(open_device("madds:1"))
    expected = forecast(Workload(config, 64), SPEC, source, px=32, val_images=16, workers=2)
    step = Shrink(SPEC, config.loop, accuracy=0.5, latency=open_device("madds:1")).next_step()
    assert expected.able == len(step.proposals)
    assert expected.groups == len(config.loop.groups(SPEC))
    plain = config.model_copy(update={"proposals": "widths"})
    fewer = forecast(Workload(plain, 64), SPEC, source, px=32, val_images=16, workers=2)
    assert fewer.groups < expected.groups
    assert fewer.able <= expected.able


def test_a_shorter_network_is_trained_from_the_parents_weights():
    """Its outcome is that of the same weights, transferred by hand."""
    from netadapt.narrowing.depth import depth_groups, shortened
    from netadapt.transfer import transfer

    group = depth_groups(SPEC)[-1]
    spec = shortened(SPEC, group, group.width - 1)
    common = {
        "index": 0, "kind": "proposal", "batch": 0, "tokens": (), "spec": spec, "seed": 3, "name": "one",
        "recipe": Recipe(steps=12, batch_size=16),
    }  # fmt: skip
    outcome = AdaptTraining(DATA)(
        AdaptJob(**common, parent=SPEC, weights=state_bytes(SEED.weights))
    )
    by_hand = transfer(SPEC, SEED.weights, spec)
    other = AdaptTraining(DATA)(AdaptJob(**common, parent=spec, weights=state_bytes(by_hand)))
    ours, theirs = (state_of(one.weights) for one in (outcome, other))
    build(spec).load_state_dict(ours)
    convolutions = [name for name in ours if name.endswith(".0.weight")]
    assert all(ours[name].equal(theirs[name]) for name in convolutions)
    # The statistics are taken anew, as those of the parent are of other inputs.
    assert not ours["head.conv.1.running_var"].equal(theirs["head.conv.1.running_var"])


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.long
def test_workers_drop_the_same_blocks(tmp_path):
    arguments = {"data": DATA, "latency": open_device("madds:1")}
    here = DEEP.model_copy(update={"target_ms": 0.85 * FULL_MS, "compare": "none"})
    adapt(SEED, **arguments, config=here, folder=tmp_path / "here")
    there = here.model_copy(update={"schedule": ScheduleConfig(workers=2)})
    adapt(SEED, **arguments, config=there, folder=tmp_path / "there")
    assert logged(tmp_path / "there") == logged(tmp_path / "here")
    names = [
        planned.name
        for step in AdaptRecord.read(RunFolder(tmp_path / "there")).steps
        for planned, _ in step.entries
    ]
    assert any(" depth " in name for name in names)
