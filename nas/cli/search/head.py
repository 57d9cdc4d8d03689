"""The head of the networks that a search is given: that of what its images are annotated for."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from nas.checkpoints.class_names import placeholder_classes
from nas.tasks import CLASSIFY, task_of_spec
from nas.tasks.heads import headed
from search_spaces import FactorizedSpace, InputError

if TYPE_CHECKING:
    from nas.checkpoints.checkpoint import Checkpoint
    from nas.data.load import ImageSource


def with_head_for(
    images: ImageSource, network: Checkpoint, *, named: str, head: str | None
) -> Checkpoint:
    """Return a network for the task of some images: as it is, or a classifier with a new head.

    The new head has as many classes as the images, without names, so that it is fine-tuned before it is
    used.

    Args:
        images: The images.
        network: The network.
        named: How the user named it.
        head: Name of the head; None takes the task's.

    Raises:
        InputError: The network is for another task, or cannot have the head.
    """
    own, task = task_of_spec(network.spec), images.task
    if own not in (task, CLASSIFY):
        raise InputError(
            f"{named} is a network for the task {own}, and {images.name} is annotated for {task}: give a "
            f"classifier, or a network for the task {task}"
        )
    if head is None and own == task:
        return network
    classes = placeholder_classes(len(images.classes))
    return network.for_task(task, classes, head=head, named=False)


def space_for(images: ImageSource, space: FactorizedSpace, *, head: str | None) -> FactorizedSpace:
    """Return a space whose networks have a head for the task of some images.

    Raises:
        InputError: They cannot have the head.
    """
    own = task_of_spec(space.decode((0,) * len(space.arities)))
    if head is None and own == images.task:
        return space
    give = partial(headed, task=images.task, classes=len(images.classes), head=head)
    return space.with_head(give)
