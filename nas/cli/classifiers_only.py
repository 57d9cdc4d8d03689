"""Commands that take classifiers, and no networks of other tasks yet."""

from __future__ import annotations

from nas.tasks import CLASSIFY
from search_spaces import InputError


def require_classification(task: str, *, doing: str) -> None:
    """Check that a network or a data set is for classification.

    Args:
        task: Name of its task; see `nas.tasks.task_of`.
        doing: The command, for the message.

    Raises:
        InputError: It is for another task.
    """
    if task != CLASSIFY:
        raise InputError(
            f"{doing} takes classifiers and class folders so far, and this is for the task {task}: nas "
            "train, evaluate, predict, show and measure take it"
        )
