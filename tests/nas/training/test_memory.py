"""Batches that do not fit into memory: which errors say so, and the batch that fits."""

import weakref

import numpy as np
import pytest
import torch
from torch import nn

from nas.data.share import Share
from nas.training.machine import memory
from nas.training.machine.memory import fitting_batch, is_out_of_memory, what_fits
from nas.training.recipe import Recipe
from nas.training.teacher import Teacher
from nas.training.train import BatchTooLarge, train
from tests.nas.image_sets import random_dataset

HUGE = 1 << 50
"""Bytes: more than any machine has."""


@pytest.fixture
def quick_to_free(monkeypatch):
    """Without the collection of garbage, which takes half a second in a process with all of the tests."""
    monkeypatch.setattr(memory, "free_unused", lambda: None)


def raised(call):
    with pytest.raises((RuntimeError, MemoryError)) as caught:
        call()
    return caught.value


def limited(largest, *, error=MemoryError, tried=None):
    """Return a step that runs with at most `largest` images."""

    def step(images):
        if tried is not None:
            tried.append(images)
        if images > largest:
            raise error

    return step


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB."),
        torch.cuda.OutOfMemoryError(),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:114] DefaultCPUAllocator: not enough memory: you tried"
        ),
        RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be reported later"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        MemoryError("Unable to allocate 8.00 PiB"),
    ],
)
def test_errors_of_memory(error):
    assert is_out_of_memory(error)


def test_real_errors_of_memory():
    assert is_out_of_memory(raised(lambda: torch.empty(HUGE, dtype=torch.uint8)))
    assert is_out_of_memory(raised(lambda: np.empty(HUGE, np.uint8)))


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("The size of tensor a (3) must match the size of tensor b (4)"),
        RuntimeError("CUDA error: device-side assert triggered"),
        ValueError("DefaultCPUAllocator: can't allocate memory"),
        KeyboardInterrupt(),
    ],
)
def test_other_errors(error):
    assert not is_out_of_memory(error)


@pytest.mark.parametrize(
    ("batch_size", "largest", "fits"),
    [
        (512, 300, 256),
        (512, 64, 64),
        (100, 30, 25),
        (50, 5, 3),
        (3, 9, None),
        (4, 2, 2),
        (64, 1, None),
    ],
)
@pytest.mark.usefixtures("quick_to_free")
def test_the_largest_half_that_runs(batch_size, largest, fits):
    assert fitting_batch(limited(largest), batch_size) == fits


@pytest.mark.usefixtures("quick_to_free")
def test_halves_are_tried_in_order_and_only_once():
    tried = []
    assert fitting_batch(limited(10, tried=tried), 100) == 6
    assert tried == [50, 25, 12, 6]


@pytest.mark.parametrize("batch_size", [0, 1, 2, 3])
def test_a_batch_too_small_to_halve_is_not_tried(batch_size):
    tried = []
    assert fitting_batch(limited(0, tried=tried), batch_size) is None
    assert tried == []


def test_other_errors_of_a_step_are_raised():
    with pytest.raises(RuntimeError, match="shapes differ"):
        fitting_batch(limited(0, error=RuntimeError("shapes differ")), 64)


def test_tensors_that_fill_the_memory():
    def step(images):
        torch.empty(images * (HUGE >> 4) if images > 8 else images, dtype=torch.uint8)

    assert fitting_batch(step, 128) == 8


def test_nothing_of_a_failed_step_stays_alive():
    earlier = []

    def step(images):
        assert all(reference() is None for reference in earlier)
        pixels = torch.zeros(images)
        cycle = [pixels]
        cycle.append(cycle)
        earlier.append(weakref.ref(pixels))
        if images > 4:
            raise MemoryError

    assert fitting_batch(step, 64) == 4
    assert len(earlier) == 4


class Hungry(nn.Module):
    """A network that needs too much memory for more than six images at once."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 3)

    def forward(self, images):
        if len(images) > 6:
            torch.empty(HUGE, dtype=torch.uint8)
        return self.linear(images.mean((2, 3)))


@pytest.mark.parametrize(
    ("recipe", "advice"),
    [
        (
            Recipe(batch_size=24),
            "a batch of 24 images at 8 px .*: give batch_size 6, or accumulate 4 to keep 24",
        ),
        (Recipe(batch_size=24, accumulate=2), "give batch_size 6, or accumulate 4"),
    ],
)
def test_a_training_says_which_batch_would_fit(recipe, advice):
    with pytest.raises(BatchTooLarge, match=advice):
        train(Hungry(), random_dataset(), recipe, seed=0)


class Greedy(nn.Module):
    """A teacher that needs too much memory for any batch, or already to be moved."""

    def __init__(self, *, moves=True):
        super().__init__()
        self.linear = nn.Linear(3, 3)
        self.moves = moves

    def _apply(self, change, recurse=True):
        if not self.moves:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")
        return super()._apply(change, recurse)

    def forward(self, images):
        torch.empty(HUGE, dtype=torch.uint8)
        raise AssertionError("this much memory was found")


@pytest.mark.parametrize(
    ("teacher", "advice"),
    [
        (
            Greedy(),
            "together with the teacher; without it 6 do: give a smaller teacher, or train w",
        ),
        (Greedy(moves=False), "the teacher of 12 parameters does not fit into the memory of cpu: "),
    ],
)
def test_a_teacher_that_memory_does_not_hold_is_named(teacher, advice):
    taught = Teacher(teacher, px=8, mean=(0.5, 0.5, 0.5), std=(0.2, 0.2, 0.2))
    with pytest.raises(BatchTooLarge, match=advice):
        train(Hungry(), random_dataset(), Recipe(batch_size=12), seed=0, teacher=taught)


def test_the_advice_of_a_training_holds():
    recipe = Recipe(batch_size=24, accumulate=4, epochs=1, eval_batch_size=6)
    assert train(Hungry(), random_dataset(), recipe, seed=0).accuracy >= 0


def test_a_worker_cannot_try_steps_alone():
    advice = what_fits(limited(100), Recipe(batch_size=24), Share(1, 2), px=None)
    assert advice.startswith("a batch of 24 images does not fit into memory: give a smaller")
