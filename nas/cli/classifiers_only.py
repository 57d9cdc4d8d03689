"""Commands that support classifiers only."""

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
            f"{doing} supports classifiers only, got the task {task}: nas train, evaluate, predict, show "
            "and measure support it"
        )
