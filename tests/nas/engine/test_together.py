"""Ray Train for real: workers of several machines train as one, also if a machine is lost."""

import time
from functools import partial

import pytest

from nas.checkpoints.retrain import fit
from nas.engine.on_ray.together import Workers, train_together
from nas.training.recipe import Recipe
from nas.training_runs.keeping import StateKeeper
from search_spaces import REFERENCES, InputError
from tests.nas.image_sets import random_dataset

pytestmark = [pytest.mark.ray, pytest.mark.slow]

SPEC = REFERENCES["mobilenet_v2"](width=0.35, resolution=32, classes=3)
RECIPE = Recipe(epochs=3, batch_size=16, optimizer="sgd", learning_rate=1e-4, schedule="cosine")
EPOCH_STEPS = 4


def slow_fit(*arguments, **options):
    """Train slowly enough that a machine can be lost in the middle."""
    report = options["on_progress"]

    def reported(progress):
        time.sleep(0.3)
        report(progress)

    if report is not None:
        options["on_progress"] = reported
    return fit(*arguments, **options)


def training(how=fit):
    data = random_dataset(count=64, size_px=32)
    return partial(how, SPEC, None, data, RECIPE, seed=0, evaluate_every=EPOCH_STEPS)


def failing(*_, share, **__):
    if share.rank == 1:
        raise InputError("no such image")


@pytest.fixture(scope="module")
def machines():
    from ray.cluster_utils import Cluster

    there = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False}
    )
    yield there
    there.shutdown()


def close(one, other):
    """Within 0.5% of a tensor's largest value: deep batch norms amplify rounding, which differs."""
    for name, value in one.checkpoint.weights.items():
        difference = (other.checkpoint.weights[name].double() - value.double()).abs().max().item()
        assert difference <= 5e-3 * max(1.0, value.double().abs().max().item()), name


def test_two_workers_train_as_one_though_a_machine_is_lost(machines, tmp_path, caplog):
    lost = machines.add_node(num_cpus=1)
    steps = []

    def lose(progress):
        nonlocal lost
        steps.append(progress.step)
        if progress.step > EPOCH_STEPS and lost is not None:
            machines.remove_node(lost, allow_graceful=False)
            machines.add_node(num_cpus=1)
            lost = None

    keeper = StateKeeper(tmp_path)
    workers = Workers(2, address=machines.address)
    done = train_together(training(slow_fit), workers, keeper=keeper, on_progress=lose)
    assert "a worker died: all of them resume after" in caplog.text
    assert steps[-1] == 3 * EPOCH_STEPS
    assert len(steps) > 3 * EPOCH_STEPS  # some were taken again
    assert [at.step for at in keeper.history] == [4, 8, 12]
    alone = training()()
    close(alone, done)
    assert done.test.images == alone.test.images
    assert done.test.accuracy == pytest.approx(alone.test.accuracy, abs=0.1)


@pytest.mark.long
def test_what_one_worker_finds_wrong_ends_all(machines, tmp_path):
    nowhere = {"keeper": StateKeeper(tmp_path), "on_progress": lambda _: None}
    with pytest.raises(InputError, match="no such image"):
        train_together(failing, Workers(2, address=machines.address), **nowhere)
    with pytest.raises(InputError, match="room for 2 with 1 CPU each: give at most 2"):
        train_together(failing, Workers(3, address=machines.address), **nowhere)
