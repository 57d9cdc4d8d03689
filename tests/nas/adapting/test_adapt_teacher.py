"""Final trainings of NetAdapt that learn from a teacher; proposals that do not."""

import pickle
import shutil
from dataclasses import replace

import pytest
import torch

from latency import open_device
from nas.adapting.fine_tuning import AdaptTraining
from nas.adapting.forecast import Workload
from nas.adapting.job import AdaptJob, teaching, work
from nas.adapting.results.record import AdaptRecord
from nas.checkpoints.checkpoint import checkpoint_bytes
from nas.checkpoints.teachers import teacher_of
from nas.checkpoints.torch_files import state_bytes, state_of
from nas.engine.watching import Silent
from nas.report.adapt.text import headline
from nas.run_adapt import adapt
from nas.training.recipe import Recipe
from nas.training.teacher_config import TeacherConfig
from search_spaces import InputError, count
from tests.nas.adapting.test_adapt import CONFIG, DATA, FULL_MS, SEED, SPEC, Trainer
from tests.nas.searching.test_teacher import checkpoint

QUICK = CONFIG.model_copy(update={"target_ms": 0.9 * FULL_MS, "final": "scratch"})


def taught_by(path, **settings):
    return QUICK.model_copy(update={"teacher": TeacherConfig(path=str(path), **settings)})


def run(folder, config, watcher=None, **changes):
    options = {"seed": SEED, "data": DATA} | changes
    return adapt(
        options.pop("seed"),
        latency=open_device(config.device),
        config=config,
        folder=folder,
        watcher=watcher or Silent(),
        **options,
    )


def weights(folder, kind="scratch"):
    return state_of((folder / "weights" / f"{kind}-0.pt").read_bytes())


def equal(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    return run(tmp_path_factory.mktemp("alone"), QUICK)


def accuracies(folder):
    steps = AdaptRecord.read(folder).steps
    return [trial.accuracy for step in steps for _, trial in step.entries]


def test_the_seed_teaches_the_final_training_alone(tmp_path, alone):
    taught = run(tmp_path, taught_by("seed", weight=1))
    assert accuracies(taught.folder) == accuracies(alone.folder)
    assert not equal(weights(tmp_path), weights(alone.folder.path))
    sentence = (
        "The final trainings also learned from a teacher, the seed itself (temperature 2, 100% of the "
        "loss)."
    )
    assert sentence in headline(AdaptRecord.read(taught.folder))
    assert sentence in (tmp_path / "report.html").read_text()
    assert not any("teacher" in text for text in headline(AdaptRecord.read(alone.folder)))
    assert not (tmp_path / "teacher.pt").exists()  # it is the seed


@pytest.mark.parametrize("kind", ["scratch", "finetune", "uniform-scratch", "uniform-finetune"])
def test_every_final_training_has_it(kind):
    one, other = outcomes(kind)
    assert not equal(one, other)


@pytest.mark.parametrize("kind", ["proposal", "uniform-curve"])
def test_no_other_training_has_it(kind):
    one, other = outcomes(kind)
    assert one == other if kind == "uniform-curve" else equal(one, other)


def outcomes(kind):
    """What a job gives without and with a teacher, the latter in another process."""
    teacher = teacher_of(checkpoint(), DATA.classes, TeacherConfig(path="big.pt", weight=1))
    job = AdaptJob(
        index=0, kind=kind, batch=0, tokens=(), spec=SPEC, seed=3, name="one",
        recipe=Recipe(steps=2, batch_size=16), parent=SPEC, weights=state_bytes(SEED.weights),
    )  # fmt: skip
    plain, taught = AdaptTraining(DATA), AdaptTraining(DATA, teacher=teacher)
    found = [plain(job), pickle.loads(pickle.dumps(taught))(job)]
    if kind.endswith("curve"):
        return [outcome.accuracy for outcome in found]
    return [state_of(outcome.weights) for outcome in found]


def test_a_resumed_run_needs_its_copy_alone(tmp_path):
    path = tmp_path / "big.pt"
    path.write_bytes(checkpoint_bytes(checkpoint()))
    config = taught_by(path)
    run(tmp_path / "whole", config)
    shutil.copytree(tmp_path / "whole", tmp_path / "cut")
    (tmp_path / "cut/finals.jsonl").unlink()
    (tmp_path / "cut/weights/scratch-0.pt").unlink()
    path.unlink()
    run(tmp_path / "cut", config)
    assert equal(weights(tmp_path / "cut"), weights(tmp_path / "whole"))
    with pytest.raises(InputError, match=r"teacher\.temperature was 2\.0"):
        run(tmp_path / "cut", taught_by(path, temperature=4.0))
    with pytest.raises(InputError, match="teacher was"):
        run(tmp_path / "cut", QUICK)


def test_bad_teachers_are_refused_before_anything_is_written(tmp_path):
    strangers = tmp_path / "strangers.pt"
    strangers.write_bytes(checkpoint_bytes(checkpoint(classes=("dark", "light", "red"))))
    for path, problem in (
        (strangers, "the teacher's 3 classes are not the data's 2: fine-tune it"),
        (tmp_path / "none.pt", "none.pt: No such file"),
    ):
        with pytest.raises(InputError, match=problem):
            run(tmp_path / "new", taught_by(path))
    with pytest.raises(InputError, match="has no effect with evaluate"):
        run(tmp_path / "new", taught_by("seed"), evaluate=Trainer())
    assert not (tmp_path / "new").exists()


def test_classes_without_names_are_in_the_order_of_the_folders(tmp_path, monkeypatch):
    """The seed has its classes in another order than the folders; the teacher only numbers them."""
    swapped = replace(SEED, usage=replace(SEED.usage, classes=("light", "dark")))
    given = checkpoint()
    numbered = replace(given, usage=replace(given.usage, classes=("0", "1"), named=False))
    path = tmp_path / "big.pt"
    path.write_bytes(checkpoint_bytes(numbered))
    found = []

    class Seen(Exception):  # noqa: N818
        pass

    def seen(*_, teacher, **__):
        found.append(teacher)
        raise Seen

    monkeypatch.setattr("nas.run_adapt.AdaptTraining", seen)
    with pytest.raises(Seen):
        run(tmp_path / "new", taught_by(path), seed=swapped)
    pixels = torch.randint(256, (4, 3, 32, 32), generator=torch.Generator().manual_seed(0))
    expected = teacher_of(given, ("light", "dark"), TeacherConfig(path="big.pt"))
    assert torch.equal(found[0].logits(pixels), expected.logits(pixels))


def test_its_forward_pass_counts_in_forecasts():
    madds = count(SPEC).madds
    config = CONFIG.model_copy(update={"compare": "uniform", "compare_seeds": 2})
    alone, taught = Workload(config, 64), Workload(config, 64, teacher_madds=3 * madds)
    # A teacher of three times the multiply-adds takes as long as a student's whole training step.
    once = work(SPEC, config.final_recipe)
    assert teaching(config.final_recipe, 3 * madds) == once
    # Both networks, both ways, two seeds; fine-tuned baselines also in 5 steps' worth of proposals.
    assert taught.teaching(5) == 2 * (2 * 2 * once + 5 * work(SPEC, config.recipe))
    assert alone.teaching(5) == 0
    left = {"proposals": 3, "steps": 5}
    more = taught.to_come(SPEC, 1.0, **left) - alone.to_come(SPEC, 1.0, **left)
    assert more == taught.teaching(5)
