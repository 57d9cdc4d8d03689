"""NetAdapt on detectors and segmentation networks: head widths narrow too, by the task's own metric."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from latency import open_device
from nas.adapting.config import AdaptConfig
from nas.adapting.fine_tuning import AdaptTraining
from nas.adapting.job import AdaptJob
from nas.checkpoints.checkpoint import Checkpoint, load_checkpoint
from nas.checkpoints.scoring import evidence_on, score
from nas.checkpoints.torch_files import state_bytes, state_of
from nas.checkpoints.usage import Usage
from nas.engine.final_scores import name_of
from nas.engine.schedule_config import ScheduleConfig
from nas.engine.trial import read_trials
from nas.report.width_table import width_rows
from nas.run_adapt import adapt
from nas.training.named_recipes import read_recipe
from netadapt import depth_groups, narrowed, width_groups
from netadapt.narrowing.depth import shortened
from netadapt.transfer import transfer
from search_spaces import REFERENCES, count
from search_spaces.heads.named import with_head
from search_spaces.network import build
from tests.nas.drawn_masks import masked_data
from tests.nas.drawn_scenes import drawn_data

DATA = {
    "detect": drawn_data(64, train=24, test=8),
    "segment": masked_data(64, train=24, test=8),
}
HEADS = {"detect": "ssdlite", "segment": "lraspp"}


def seed_of(task, *, options="", **head):
    data = DATA[task]
    whole = REFERENCES["mobilenet_v3_small"](width=0.35, resolution=64)
    few = tuple(
        whole.blocks[index] for index in (0, 1, 2, 3, 8, 9)
    )  # the first and a residual of a stage
    body = replace(whole, blocks=few)
    spec = with_head(body, HEADS[task] + options, classes=len(data.classes))
    spec = replace(spec, head=replace(spec.head, **head))
    usage = Usage(data.classes, 64, data.mean, data.std, fit="stretch")
    return Checkpoint(spec, build(spec).state_dict(), usage)


def config_of(task, seed, **changes):
    recipe = read_recipe(task, {"steps": 1, "batch_size": 8})
    settings = {
        "device": "madds:1",
        "target_ms": 0.75 * count(seed.spec).madds / 1e6,
        "delta": 0.25,
        "recipe": recipe,
        "final": "finetune",
        "final_recipe": recipe,
        "compare": "uniform",
        "compare_seeds": 2,
        "schedule": ScheduleConfig(workers=0),
    }
    return AdaptConfig.model_validate(settings | changes)


def run(task, seed, folder, **changes):
    config = config_of(task, seed, **changes)
    device = open_device(config.device)
    return adapt(seed, data=DATA[task], latency=device, config=config, folder=folder, curve=False)


@pytest.fixture(scope="module", params=["detect", "segment"])
def finished(request, tmp_path_factory):
    """A task, its seed, and the result of a run."""
    task, seed = request.param, seed_of(request.param)
    return task, seed, run(task, seed, tmp_path_factory.mktemp(task) / "run")


def test_it_reaches_the_target_and_its_network_scores_what_is_told(finished):
    task, seed, result = finished
    folder = result.folder.path
    assert result.reached
    assert count(result.spec).madds <= 0.75 * count(seed.spec).madds
    adapted = load_checkpoint(folder / "adapted.pt")
    assert adapted.spec == result.spec
    assert adapted.usage.fit == "stretch"
    assert score(adapted, DATA[task], ("test",)).accuracy == pytest.approx(result.test_accuracy)
    held_out = score(adapted, DATA[task], ("val",)).accuracy
    assert result.onnx.accuracy == pytest.approx(held_out, abs=1e-3)


def test_networks_are_compared_image_by_image(finished):
    task, seed, result = finished
    (comparison,) = result.comparisons
    folder = result.folder
    baseline = result.baselines[0].spec
    assert baseline.head.conv < seed.spec.head.conv  # the multiplier narrows the head too

    def on_test(spec, name):
        (trial,) = [t for t in read_trials(folder / "finals.jsonl") if name_of(t) == name]
        state = state_of(folder.weights_path(trial.key).read_bytes())
        return evidence_on(replace(seed, spec=spec, weights=state), DATA[task], ("test",))

    pairs = [
        on_test(result.spec, f"finetune-{n}").minus(on_test(baseline, f"uniform-finetune-{n}"))
        for n in range(2)
    ]
    assert comparison.paired.points == pytest.approx(np.mean([pair.points for pair in pairs]))
    assert comparison.paired.points == pytest.approx(comparison.points)
    assert comparison.paired.low == pytest.approx(np.mean([pair.low for pair in pairs]))


def test_the_report_has_the_metric_and_the_widths_of_the_head(finished):
    task, _, result = finished
    text = (result.folder / "report.html").read_text()
    name = "AP" if task == "detect" else "mIoU"
    assert f"<h2>{name} against estimated latency</h2>" in text
    assert f"{name} on held-out images: the seed has" in text
    assert "ccuracy" not in text.split("<script")[0]
    changed = {row.name for row in width_rows(result.seed_spec, result.spec)}
    assert {"extra 0", "extra 3"} <= changed if task == "detect" else "filters" in changed


def test_an_interrupted_run_ends_as_it_would_have(finished, tmp_path):
    task, seed, result = finished
    folder = shutil.copytree(result.folder.path, tmp_path / "cut")
    for log in ("proposals.jsonl", "finals.jsonl"):
        *lines, _ = (folder / log).read_text().splitlines(keepends=True)
        (folder / log).write_text("".join(lines) + '{"cut')
    for name in ("result.json", "tests.json", "paired.json", "adapted.pt"):
        (folder / name).unlink()
    again = run(task, seed, folder)
    assert again.to_dict() == result.to_dict()
    assert (folder / "paired.json").read_text() == (result.folder / "paired.json").read_text()


@pytest.mark.parametrize("task", ["detect", "segment"])
def test_head_groups_are_proposed_and_trained_with_inherited_weights(task):
    """Each of the head's groups is halved, fine-tuned for a step, and differs by that step alone."""
    seed = seed_of(task)
    recipe = read_recipe(task, {"steps": 1, "batch_size": 8, "learning_rate": 1e-9})
    training = AdaptTraining(DATA[task], device="cpu")
    groups = [g for g in width_groups(seed.spec) if g.kind.startswith(("head", "extra"))]
    assert len(groups) == (9 if task == "detect" else 2)
    for group in groups[:3]:
        child = narrowed(seed.spec, group, group.width // 2)
        job = AdaptJob(
            index=0, kind="proposal", batch=0, tokens=(), spec=child, seed=0, latencies=(), name=group.name,
            recipe=recipe, parent=seed.spec, weights=state_bytes(seed.weights),
        )  # fmt: skip
        trained = state_of(training(job).weights)
        inherited = transfer(seed.spec, seed.weights, child)
        for name, tensor in inherited.items():
            if name.endswith("weight"):
                torch.testing.assert_close(trained[name], tensor, atol=1e-5, rtol=1e-4)


def test_a_stage_in_which_the_head_reads_a_map_stays_whole():
    body = REFERENCES["mobilenet_v3_large"](resolution=64)
    spec = with_head(body, "lraspp", classes=3)
    before = {group.name for group in depth_groups(spec)}
    spec = replace(spec, head=replace(spec.head, skip="depthwise"))
    assert before - {group.name for group in depth_groups(spec)} == {"blocks 3-5 depth"}


@pytest.mark.parametrize("task", ["detect", "segment"])
def test_a_shorter_stage_keeps_what_the_head_reads(task):
    """Dropping residual blocks in front of and behind what the head reads leaves its weights."""
    seed = seed_of(task)
    assert depth_groups(seed.spec)
    for group in depth_groups(seed.spec):
        child = shortened(seed.spec, group, group.least)
        inherited = transfer(seed.spec, seed.weights, child)
        for name in seed.weights:
            if name.startswith("head."):
                assert torch.equal(inherited[name], seed.weights[name])
        network = build(child)
        network.load_state_dict(inherited)
        network.eval()(torch.zeros(1, 3, 64, 64))
