"""Ray Train for real: several workers train as one, and outlive the death of one of them."""

import os
import signal
from functools import partial
from pathlib import Path

import pytest

from nas.checkpoints.retrain import fit
from nas.engine.on_ray.together import Workers, train_together
from nas.engine.runner import RunStoppedError
from nas.training.recipe import Recipe
from nas.training_runs.keeping import StateKeeper
from search_spaces import REFERENCES, InputError
from tests.nas.image_sets import random_dataset

pytestmark = [pytest.mark.ray, pytest.mark.slow]

SPEC = REFERENCES["mobilenet_v2"](width=0.35, resolution=32, classes=3)
RECIPE = Recipe(epochs=3, batch_size=16, optimizer="sgd", learning_rate=1e-4, schedule="cosine")
EPOCH_STEPS = 4


def training(recipe=RECIPE, *, change=None):
    data = random_dataset(count=64, size_px=32)
    return partial(change or fit, SPEC, None, data, recipe, seed=0, evaluate_every=EPOCH_STEPS)


class DyingFit:
    """Trains; the worker of rank 1 dies in the second epoch, once or each time."""

    def __init__(self, folder: Path, *, always: bool = False):
        self.folder, self.always = folder, always

    def __call__(self, *arguments, **options):
        def look(progress):
            mark = self.folder / "died"
            if progress.step > EPOCH_STEPS + 1 and (self.always or not mark.exists()):
                mark.touch()
                os.kill(os.getpid(), signal.SIGKILL)

        if options["share"].rank == 1:
            options["on_progress"] = look
        return fit(*arguments, **options)


def failing(*_, share, **__):
    if share.rank == 0:
        raise InputError("no such image")


class Watcher(StateKeeper):
    """Counts the states."""

    kept = 0

    def keep(self, state, progress):
        super().keep(state, progress)
        self.kept += 1


@pytest.fixture(scope="module")
def alone():
    return training()()


def close(one, other):
    """Within 0.5% of a tensor's largest value: deep batch norms amplify rounding, which differs."""
    for name, value in one.checkpoint.weights.items():
        difference = (other.checkpoint.weights[name].double() - value.double()).abs().max().item()
        assert difference <= 5e-3 * max(1.0, value.double().abs().max().item()), name


def test_two_workers_train_as_one_and_survive_a_death(alone, tmp_path, caplog):
    seen = []
    keeper = Watcher(tmp_path)
    dying = training(change=DyingFit(tmp_path))
    done = train_together(dying, Workers(2), keeper=keeper, on_progress=seen.append)
    assert (tmp_path / "died").exists()
    assert f"all of them resume after {EPOCH_STEPS} steps" in caplog.text
    close(alone, done)
    assert done.test.loss == pytest.approx(alone.test.loss, rel=1e-3)
    assert keeper.kept == 2
    assert [at.step for at in keeper.history] == [4, 8]
    assert [at.step for at in seen if at.accuracy is not None][-1] == 12


def test_another_number_of_workers_resumes(alone, tmp_path):
    class Enough(Exception):  # noqa: N818
        pass

    def stop(progress):
        if progress.step > EPOCH_STEPS:
            raise Enough

    with pytest.raises(Enough):
        training()(keeper=StateKeeper(tmp_path), on_progress=stop)
    steps = []
    done = train_together(
        training(),
        Workers(2),
        keeper=StateKeeper(tmp_path),
        on_progress=lambda progress: steps.append(progress.step),
    )
    assert steps[0] == EPOCH_STEPS + 1
    close(alone, done)


def test_what_ends_a_training(tmp_path):
    ray = pytest.importorskip("ray")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        nowhere = {"keeper": StateKeeper(tmp_path), "on_progress": lambda _: None}
        with pytest.raises(InputError, match="no such image"):
            train_together(failing, Workers(2), **nowhere)
        with pytest.raises(InputError, match="room for 2 with 1 CPU each: give at most 2"):
            train_together(failing, Workers(3), **nowhere)
        always = training(change=DyingFit(tmp_path, always=True))
        with pytest.raises(RunStoppedError, match="resume"):
            train_together(always, Workers(2, restarts=0), **nowhere)
    finally:
        ray.shutdown()


def test_a_machine_that_is_lost_is_replaced_by_another(alone, tmp_path):
    from ray.cluster_utils import Cluster

    there = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False}
    )
    try:
        lost = there.add_node(num_cpus=1)

        def lose(progress):
            nonlocal lost
            if progress.step > EPOCH_STEPS and lost is not None:
                there.remove_node(lost, allow_graceful=False)
                there.add_node(num_cpus=1)
                lost = None

        done = train_together(
            training(),
            Workers(2, address=there.address),
            keeper=StateKeeper(tmp_path),
            on_progress=lose,
        )
    finally:
        there.shutdown()
    close(alone, done)
