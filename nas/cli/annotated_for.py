"""Check that images are annotated for what a network does."""

from __future__ import annotations

from pathlib import Path

from search_spaces import InputError


def require_annotated_for(task: str, data: str) -> None:
    """Check that a folder of images is annotated for a network's task.

    Args:
        task: Name of the network's task; see `nas.tasks.task_of`.
        data: The folder, or a data set's name.

    Raises:
        InputError: It is for another task.
    """
    from nas.data.finding import tasks_of_source  # imports torch

    found = tasks_of_source(data)
    if task not in found and Path(data).exists():  # others are reported when they are read
        raise InputError(
            f"{data} is annotated for the task {found[0]}, the network is for {task}: give images with its "
            "kind of annotation"
        )
