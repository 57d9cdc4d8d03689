"""Give a network the head of a task: the task's own choice, or one by name."""

from __future__ import annotations

from nas.tasks import CLASSIFY, task_of, task_of_spec
from search_spaces import ArchSpec, InputError
from search_spaces.heads.named import with_head


def headed(spec: ArchSpec, task: str, *, classes: int, head: str | None = None) -> ArchSpec:
    """Return a network with a head of a task.

    >>> from search_spaces.references import mobilenet_v2
    >>> headed(mobilenet_v2(), "segment", classes=8, head="lraspp-f64").head.filters
    64

    Args:
        spec: The network; see `Task.headed`.
        task: Name of the task.
        classes: Number of classes.
        head: Name of the head, as in `mobilenet_v2:ssdlite-half`; None leaves it to the task.

    Raises:
        InputError: The body cannot have the head, the head is another task's, or the network has a head
            for boxes or masks already.
    """
    if head is None:
        return task_of(task).headed(spec, classes=classes)
    if (own := task_of_spec(spec)) != CLASSIFY:
        raise InputError(
            f"--head {head}: the network has a head for the task {own} already: leave --head out, or give "
            "a classifier"
        )
    made = with_head(spec, head, classes=classes)
    if (other := task_of_spec(made)) != task:
        raise InputError(
            f"--head {head} is for the task {other}, and the images are annotated for {task}: give another "
            "head, or leave it out"
        )
    return made
