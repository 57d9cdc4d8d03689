"""Finalists of a search that learn from a teacher; trials that do not."""

import io
import pickle
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rich.console import Console

from controllers import make_controller
from latency import open_device
from nas.checkpoints.checkpoint import Checkpoint, checkpoint_bytes
from nas.checkpoints.teachers import teacher_of
from nas.checkpoints.torch_files import state_of
from nas.checkpoints.usage import Usage
from nas.display.search_view import LiveView
from nas.engine.folder.run_folder import RunFolder
from nas.engine.job import Job, Outcome
from nas.engine.schedule_config import ScheduleConfig
from nas.engine.trial import Trial
from nas.engine.watching import Silent
from nas.run_search import search
from nas.searching.config import FinalsConfig
from nas.searching.from_scratch.proxy_task import ProxyTraining
from nas.searching.planning.forecast import Cost
from nas.searching.presets import make_config
from nas.searching.sizes import Sizes
from nas.searching.teacher_cost import slowdown
from nas.tasks.augmentation.augment import normalize
from nas.training.recipe import Recipe
from nas.training.teacher import Teacher
from nas.training.teacher_config import TeacherConfig
from search_spaces import REFERENCES, InputError, load_space
from search_spaces.network import build
from tests.nas.adapting.test_adapt import DATA, SPEC
from tests.nas.cli.conftest import SMALL_SPACE
from tests.nas.conftest import oracle

RECIPE = Recipe(steps=2, batch_size=16)


def checkpoint(classes=DATA.classes, px=32, number=0):
    """A network with other normalization than the data's, and a classifier of large weights."""
    spec = REFERENCES["mobilenet_v3_small"](width=0.35, resolution=px, classes=len(classes))
    weights = build(spec, generator=torch.Generator().manual_seed(number)).state_dict()
    *_, last, _ = weights
    weights[last] = 50 * weights[last]
    return Checkpoint(spec, weights, Usage(classes, px, (0.4, 0.5, 0.6), (0.2, 0.3, 0.4)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Holds the space and the teacher."""
    path = tmp_path_factory.mktemp("given")
    (path / "small.yaml").write_text(SMALL_SPACE)
    (path / "big.pt").write_bytes(checkpoint_bytes(checkpoint()))
    return path


@pytest.fixture(scope="module")
def teacher(folder):
    return TeacherConfig(path=str(folder / "big.pt"), weight=1)


@pytest.fixture(scope="module")
def run(folder):
    def go(where, **changes):
        space = load_space(str(folder / "small.yaml"), resolution=32, classes=2)
        arguments = {
            "controller": make_controller("uniform", space.arities, seed=0),
            "latency": open_device("madds:1"),
            "data": DATA,
            "target_ms": 10.0,
            "folder": where,
            "recipe": RECIPE,
            "trials": 2,
            "batch_size": 2,
            "finals": FinalsConfig(count=1, epochs_factor=1, repeats=1),
            "watcher": Silent(),
        }
        return search(space, **(arguments | changes))

    return go


@pytest.fixture(scope="module")
def taught(run, teacher, tmp_path_factory):
    return run(tmp_path_factory.mktemp("taught"), teacher=teacher)


def final_weights(result):
    folder = RunFolder(result.folder.path)
    return state_of(folder.weights_path(("final", result.winner.index)).read_bytes())


def equal(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


def test_it_changes_finalists_and_no_trial(tmp_path, run, teacher, taught):
    alone = run(tmp_path)
    assert [t.accuracy for t in alone.trials] == [t.accuracy for t in taught.trials]
    for one, other in zip(alone.finals, taught.finals, strict=True):
        assert (one.kind, one.seed, one.fingerprint) == (other.kind, other.seed, other.fingerprint)
        assert one.kind == "final" or one.accuracy == other.accuracy
    assert not equal(final_weights(alone), final_weights(taught))
    sentence = (
        f"Finalists also learned from a teacher, {teacher.path} (temperature 2, 100% of the loss)."
    )
    assert sentence in (taught.folder / "report.html").read_text()
    assert "learned from a teacher" not in (alone.folder / "report.html").read_text()


def test_a_resumed_run_needs_its_copy_alone(tmp_path, run, teacher, taught):
    moved = tmp_path / "moved.pt"
    moved.write_bytes(Path(teacher.path).read_bytes())
    own = teacher.model_copy(update={"path": str(moved)})

    class Stopping(Silent):
        def finished(self, trial, *, replayed):
            if not replayed:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", teacher=own, watcher=Stopping())
    moved.write_bytes(checkpoint_bytes(checkpoint(number=1)))
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", teacher=own, watcher=Stopping())
    moved.unlink()
    assert equal(final_weights(run(tmp_path / "cut", teacher=own)), final_weights(taught))


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"temperature": 3.0}, r"teacher\.temperature was 2\.0 .* is 3\.0 now"),
        ({"path": "other.pt"}, r"teacher\.file was"),
        (None, "teacher was"),
    ],
)
def test_a_run_keeps_its_teacher(tmp_path, monkeypatch, run, teacher, taught, changes, named):
    monkeypatch.chdir(tmp_path)
    Path("other.pt").write_bytes(checkpoint_bytes(checkpoint(number=1)))
    shutil.copytree(taught.folder.path, "run")
    copy = Path("run/teacher.pt").read_bytes()
    other = changes and teacher.model_copy(update=changes)
    with pytest.raises(InputError, match=named):
        run(tmp_path / "run", teacher=other)
    assert Path("run/teacher.pt").read_bytes() == copy


def test_bad_teachers_are_refused_before_anything_is_written(tmp_path, run, teacher):
    strangers = tmp_path / "strangers.pt"
    strangers.write_bytes(checkpoint_bytes(checkpoint(classes=("dark", "red"))))
    for path, problem in (
        (strangers, "the teacher's 2 classes are not the data's 2: fine-tune it"),
        (tmp_path / "none.pt", "none.pt: No such file"),
    ):
        with pytest.raises(InputError, match=problem):
            run(tmp_path / "new", teacher=TeacherConfig(path=str(path)))
    with pytest.raises(InputError, match="has no effect with evaluate"):
        run(tmp_path / "new", teacher=teacher, evaluate=lambda _: Outcome(0.5))
    assert not (tmp_path / "new").exists()


def test_outputs_are_put_into_the_order_of_the_classes():
    names = ("c", "A b", "a")
    given = checkpoint(classes=names, px=16)
    config = TeacherConfig(path="big.pt")
    pixels = torch.randint(256, (4, 3, 16, 16), generator=torch.Generator().manual_seed(0))
    inputs = normalize(pixels, mean=given.usage.mean, std=given.usage.std)
    with torch.no_grad():
        expected = given.network()(inputs)
    found = teacher_of(given, ("a", "a-b", "c"), config).outputs(pixels)
    assert torch.allclose(found, expected[:, [2, 1, 0]], atol=1e-5)
    numbered = replace(given, usage=replace(given.usage, classes=("0", "1", "2"), named=False))
    assert torch.allclose(teacher_of(numbered, names, config).outputs(pixels), expected, atol=1e-5)
    with pytest.raises(InputError, match="the teacher's 3 classes are not the data's 4"):
        teacher_of(numbered, (*names, "d"), config)


def final_job():
    return Job(index=0, kind="final", batch=0, tokens=(), spec=SPEC, seed=5)


def training(number=0, px=32):
    teacher = teacher_of(checkpoint(number=number, px=px), DATA.classes, TeacherConfig(path="t.pt"))
    return ProxyTraining(DATA, DATA, RECIPE, final_factor=1.0, teacher=teacher)


def test_the_evaluator_takes_its_teacher_to_another_process(monkeypatch):
    moved = []
    to = Teacher.to

    def watched(self, device):
        moved.append(str(device))
        return to(self, device)

    monkeypatch.setattr(Teacher, "to", watched)
    here = training()
    there = pickle.loads(pickle.dumps(here))
    one, other = (state_of(it(final_job()).weights) for it in (here, there))
    assert equal(one, other)
    assert moved == ["cpu", "cpu"]
    assert not equal(one, state_of(training(number=1)(final_job()).weights))


def test_a_teacher_of_another_size_sees_the_same_images():
    seen = []
    evaluate = training(px=48)
    evaluate.teacher.module.register_forward_pre_hook(
        lambda _, inputs: seen.append(inputs[0].shape)
    )
    assert evaluate(final_job()).accuracy is not None
    assert seen == [(16, 3, 48, 48)] * 2


def test_its_forward_pass_counts_in_forecasts():
    finals = FinalsConfig(count=2, epochs_factor=4, deployed_part=0.5, repeats=1)
    sizes = Sizes(32, 64)
    # A trial's step takes 3 * 100 MAdds at 32 px; a finalist's are 4 * (1 + 0.5 * 3) = 10 trials.
    slow = slowdown(400, teacher_madds=600, finals=finals, sizes=sizes)
    assert slow == pytest.approx((10 * 300 + 4 * 600) / (10 * 300))
    cost = Cost(trials=4, trials_s=8.0, finals_s=6.0, latency_s=1.0)
    assert cost.taught(5.0, finalists=3, workers=2).finals_s == pytest.approx(6 + 1.5 * 5)
    assert cost.taught(5.0, finalists=1, workers=2).total_s == pytest.approx(8 + 6 + 1 + 5)


def test_the_view_waits_longer_for_taught_finalists():
    config = make_config(preset="quick").with_sizes(Sizes(64, 64))
    console = Console(file=io.StringIO())
    plain, taught = LiveView(console, config), LiveView(console, config, slowdown=lambda _: 1.5)
    assert plain.total == taught.total == 16 + 2 * 3 + 2  # nothing is known of the networks
    trial = Trial(
        index=0, kind="search", batch=0, tokens=(0,), fingerprint="0", seed=0, accuracy=0.5,
        latencies=(), reward=0.5, params=1, madds=100, error=None, time={},
    )  # fmt: skip
    for view in (plain, taught):
        view.finished(trial, replayed=True)
    assert plain.total == 16 + 2 * 3 + 2
    assert taught.total == 16 + 2 * 3 * 1.5 + 2


def test_a_time_budget_leaves_time_for_it(make_loop):
    class Asked(Silent):
        room = None

        def next_batch(self, most, finals):
            self.finals = finals
            return most

    budget = Asked()
    loop = make_loop(time_budget=budget)
    loop.plan.slowdown = lambda madds: madds / 1e6
    while (job := loop.next_job()) is not None:
        loop.record(job, replace(oracle(job), train_s=2.0))
    finalists_s, repeats_s = budget.finals()
    madds = [trial.madds for trial in loop.logs.finals if trial.kind == "final"]
    assert finalists_s == pytest.approx([2.0 * count / 1e6 for count in madds])
    assert repeats_s == [2.0, 2.0]


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.long
def test_workers_of_ray_have_it(tmp_path, run, teacher, taught):
    there = run(tmp_path, teacher=teacher, schedule=ScheduleConfig(workers=1))
    assert equal(final_weights(there), final_weights(taught))
