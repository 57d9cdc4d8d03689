"""What a teacher adds to the time of finalists: a forward pass for each image.

It is estimated from multiply-adds, which hold on every device: a time measured here says nothing about a
GPU or a cluster.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from nas.engine.folder.run_teacher import RunTeacher
from nas.searching.config import FinalsConfig
from nas.searching.sizes import Sizes

FORWARD_PASSES = 3
"""Forward passes that take as long as a training step."""

Slowdown = Callable[[int], float]
"""Returns how many times as long a finalist trains because of a teacher, from the finalist's MAdds."""


def slowdown(madds: int, *, teacher_madds: int, finals: FinalsConfig, sizes: Sizes) -> float:
    """Return how many times as long a finalist trains because of a teacher.

    Args:
        madds: The finalist's multiply-adds at the deployed resolution.
        teacher_madds: The teacher's at its own resolution.
        finals: How finalists train.
        sizes: The two resolutions.

    A teacher as large as its student adds a third:

    >>> round(slowdown(60, teacher_madds=60, finals=FinalsConfig(), sizes=Sizes(64, 64)), 2)
    1.33
    """
    trial_madds = FORWARD_PASSES * madds * (sizes.proxy_px / sizes.deployed_px) ** 2
    return 1 + finals.epochs_factor * teacher_madds / (finals.work(sizes) * trial_madds)


def slowed_by(teacher: RunTeacher | None, finals: FinalsConfig, sizes: Sizes) -> Slowdown:
    """Return `slowdown` for the teacher of a run, if there is one."""
    if teacher is None:
        return no_teacher
    return partial(slowdown, teacher_madds=teacher.madds, finals=finals, sizes=sizes)


def no_teacher(madds: int) -> float:  # noqa: ARG001
    """Return 1: without a teacher, nothing slows finalists down."""
    return 1.0
