"""Final trainings of NetAdapt that learn from a teacher; proposals that do not, unless asked to."""

import pickle
import shutil
from dataclasses import replace

import pytest
import torch

from latency import open_device
from nas.adapting.config import AdaptConfig
from nas.adapting.final_training import curve_steps
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
from tests.nas.adapting.test_adapt import CONFIG, DATA, FULL_MS, SEED, SPEC, Trainer, logged
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


@pytest.mark.parametrize("kind", ["proposal", "uniform-curve", "finetune"])
def test_all_trainings_have_it_where_proposals_are_taught(monkeypatch, kind):
    seen = []

    class Stop(Exception):  # noqa: N818
        pass

    def train(*_, teacher, **__):
        seen.append(teacher)
        raise Stop

    monkeypatch.setattr("nas.training.train.train", train)
    teacher = teacher_of(checkpoint(), DATA.classes, TeacherConfig(path="big.pt", weight=1))
    with pytest.raises(Stop):
        AdaptTraining(DATA, teacher=teacher, teach_proposals=True)(job_of(kind))
    assert seen == [teacher]


def test_the_seed_teaches_proposals_too(tmp_path, alone):
    config = taught_by("seed", weight=1).model_copy(update={"teach_proposals": True})
    taught = run(tmp_path / "whole", config)
    first, second = (
        state_of((it.folder / "family/step-1.pt").read_bytes()) for it in (taught, alone)
    )
    assert [t.fingerprint for t in taught.family] == [t.fingerprint for t in alone.family]
    assert not equal(first, second)
    sentence = "All proposals and final trainings also learned from a teacher, the seed itself"
    assert any(text.startswith(sentence) for text in headline(AdaptRecord.read(taught.folder)))
    assert AdaptRecord.read(taught.folder).settings.teacher == config.teacher
    shutil.copytree(tmp_path / "whole", tmp_path / "cut")
    log = tmp_path / "cut/proposals.jsonl"
    lines = log.read_text().splitlines(keepends=True)
    log.write_text("".join(lines[:-1]))
    (tmp_path / "cut/finals.jsonl").unlink()
    for change in ({"teacher": TeacherConfig(path="seed")}, {"teach_proposals": False}):
        with pytest.raises(InputError, match=r"teach(er|_proposals).* was "):
            run(tmp_path / "cut", config.model_copy(update=change))
    run(tmp_path / "cut", config)
    assert logged(tmp_path / "cut") == logged(tmp_path / "whole")


def test_taught_proposals_need_a_teacher():
    with pytest.raises(ValueError, match="teach_proposals is set, but there is no teacher"):
        AdaptConfig(target_ms=1.0, teach_proposals=True)


@pytest.mark.parametrize("taught", [False, True])
def test_the_work_of_every_job_counts_its_teacher(tmp_path, monkeypatch, taught):
    jobs = []

    def seen(self, job):
        jobs.append(job)
        return Trainer()(job)

    monkeypatch.setattr(AdaptTraining, "__call__", seen)
    config = taught_by("seed").model_copy(
        update={
            "teach_proposals": taught,
            "compare": "uniform",
            "compare_seeds": 2,
            "final": "both",
        }
    )
    result = run(tmp_path, config)
    madds, steps = count(SPEC).madds, len(result.family)
    extra = {job.key: job.work - work(job.spec, job.recipe) for job in jobs}
    for job in jobs:
        learns = taught or job.kind not in ("proposal", "uniform-curve")
        assert extra[job.key] == (teaching(job.recipe, madds) if learns else 0)
    workload = Workload(config, len(DATA.train), madds)
    finals = sum(extra[job.key] for job in jobs if job.kind != "proposal")
    assert workload.teaching(steps) == pytest.approx(finals, rel=1e-6)
    proposals = [job for job in jobs if job.kind == "proposal"]
    assert workload.teaching_proposals(len(proposals)) == sum(extra[job.key] for job in proposals)


def job_of(kind):
    return AdaptJob(
        index=0, kind=kind, batch=0, tokens=(), spec=SPEC, seed=3, name="one",
        recipe=Recipe(steps=2, batch_size=16), parent=SPEC, weights=state_bytes(SEED.weights),
    )  # fmt: skip


def outcomes(kind):
    """What a job gives without and with a teacher, the latter in another process."""
    teacher = teacher_of(checkpoint(), DATA.classes, TeacherConfig(path="big.pt", weight=1))
    plain, taught, job = AdaptTraining(DATA), AdaptTraining(DATA, teacher=teacher), job_of(kind)
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
    assert torch.equal(found[0].outputs(pixels), expected.outputs(pixels))


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
    steps = Workload(config.model_copy(update={"teach_proposals": True}), 64, 3 * madds)
    more = steps.to_come(SPEC, 1.0, **left) - alone.to_come(SPEC, 1.0, **left)
    # Curves of 1, 2, 4 and 5 steps beside 3 proposals.
    curve = sum(curve_steps(5)) * work(SPEC, config.recipe)
    assert more == taught.teaching(5) + curve + 3 * work(SPEC, config.recipe)
