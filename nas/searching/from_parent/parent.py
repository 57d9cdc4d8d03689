"""The parent of a search: a trained network whose sub-networks inherit its weights."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from nas.tasks import task_of_spec
from search_spaces import ArchSpec, ElasticSpace, InputError, SearchSpace

if TYPE_CHECKING:
    import torch

    from nas.checkpoints.checkpoint import Checkpoint
    from nas.data.images import Dataset
    from nas.searching.images import SearchImages
    from netadapt.channel_selection import ChannelOrder


@dataclass(frozen=True)
class Parent:
    """A network trained on the search's images. Picklable.

    Attributes:
        spec: The network, at the largest resolution of the space.
        weights: Its state dict.
        order: Its channels in every space, the most important one first, so that sub-networks are nested.
    """

    spec: ArchSpec
    weights: dict[str, torch.Tensor]
    order: ChannelOrder

    def state_dict(self, child: ArchSpec) -> dict[str, torch.Tensor]:
        """Return the inherited weights of a sub-network; batch norm's statistics do not fit it yet."""
        from netadapt.sub_networks import sub_network

        return sub_network(self.spec, self.weights, child, order=self.order)


def require_parent_of(space: SearchSpace, parent: Checkpoint) -> ElasticSpace:
    """Return the space, if it consists of the sub-networks of a checkpoint's network.

    Raises:
        InputError: It does not.
    """
    if not isinstance(space, ElasticSpace):
        raise InputError(
            f"space {space.name} is not derived from a parent, so its networks inherit nothing from one: "
            "give search_spaces.ElasticSpace(parent=...), or leave parent out"
        )
    head = replace(parent.spec.head, classes=space.parent.head.classes)
    if replace(parent.spec, head=head, resolution=space.parent.resolution) != space.parent:
        raise InputError(
            f"space {space.name} is derived from another network than the parent's: build it with "
            "ElasticSpace(parent=checkpoint.spec)"
        )
    return space


def require_task(parent: Checkpoint, data: Dataset) -> None:
    """Check that a network's head is for what the images are annotated with.

    Raises:
        InputError: It is not.
    """
    if (task := task_of_spec(parent.spec)) != data.task:
        raise InputError(
            f"the parent is for the task {task}, and {data.name} is annotated for {data.task}: give "
            "checkpoint.for_task(data.task, data.classes), and a space of its sub-networks"
        )


def as_for(parent: Checkpoint, images: SearchImages) -> SearchImages:
    """Return the images with the labels and the normalization of a parent that knows their classes."""
    from nas.checkpoints.scoring import relabelled  # imports torch
    from nas.searching.images import SearchImages

    def prepared(data: Dataset) -> Dataset:
        labelled = relabelled(data, parent.usage)
        return replace(labelled, mean=parent.usage.mean, std=parent.usage.std)

    deployed = {px: prepared(data) for px, data in images.deployed.items()}
    return SearchImages(deployed[max(deployed)], deployed)
