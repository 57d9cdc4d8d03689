"""Forecast the training speed on this machine, from a few steps on random images."""

from __future__ import annotations

import time
from statistics import fmean
from typing import TYPE_CHECKING

from nas.data.share import WHOLE
from nas.tasks import task_of, task_of_spec
from nas.training.machine.allocator import keep_freed_memory
from nas.training.recipe import Recipe
from search_spaces import ArchSpec

if TYPE_CHECKING:
    from nas.training.teacher import Teacher

TIMED_PIXELS = 128 * 48 * 48
"""Maximum number of pixels in a timed batch: its steps take about half a second each on a core."""

LEAST_TIMED = 4
"""Minimum number of images in a timed batch, however large they are."""


def training_speed(spec: ArchSpec, recipe: Recipe, *, px: int, threads: int) -> float:
    """Return the images per second at which one worker trains a network.

    Large images are timed in smaller batches: the time per image is the same, with less time and memory.
    """
    import torch

    from nas.tasks.augmentation.augment import normalize
    from nas.training.optimization.optimizer import make_optimizer
    from search_spaces.network import build

    keep_freed_memory()
    torch.set_num_threads(threads)
    network = build(spec).to(memory_format=torch.channels_last)
    optimizer = make_optimizer(network, recipe)
    count = _timed_images(recipe.batch_size, px)
    task = task_of(task_of_spec(spec))
    stored = task.stored_px(recipe, px)
    draw = torch.Generator().manual_seed(0)
    images = torch.randint(256, (count, 3, stored, stored), dtype=torch.uint8, generator=draw)
    targets = task.stand_in(count, px=stored)
    times = []
    for _ in range(3):
        begin = time.perf_counter()
        pixels, learned = task.augmented(
            images, targets, recipe, generator=draw, size_px=px, share=WHOLE
        )
        inputs = normalize(pixels, mean=(0.5,) * 3, std=(0.25,) * 3)
        task.loss(network(inputs), learned, recipe, spec=spec).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()
        times.append(time.perf_counter() - begin)
    return count / fmean(times[1:])  # the first step also allocates


def teacher_speed(teacher: Teacher, *, px: int, batch_size: int, threads: int) -> float:
    """Return the images per second of a teacher's forward passes.

    Args:
        teacher: On the CPU.
        px: Resolution of its student's images.
        batch_size: Images per step.
        threads: Number of torch threads.
    """
    import torch

    keep_freed_memory()
    torch.set_num_threads(threads)
    count = _timed_images(batch_size, max(px, teacher.px or px))
    images = torch.zeros(count, 3, px, px)
    times = []
    for _ in range(3):
        begin = time.perf_counter()
        teacher.outputs(images)
        times.append(time.perf_counter() - begin)
    return count / fmean(times[1:])  # the first pass also allocates


def _timed_images(batch_size: int, px: int) -> int:
    return min(batch_size, max(LEAST_TIMED, TIMED_PIXELS // px**2))
