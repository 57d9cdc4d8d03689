"""Make a teacher from a checkpoint, with its outputs in the order of the student's classes."""

from __future__ import annotations

from dataclasses import replace

import torch

from nas.checkpoints.checkpoint import Checkpoint
from nas.checkpoints.class_map import class_map
from nas.training.teacher import Teacher
from nas.training.teacher_config import TeacherConfig
from search_spaces import InputError
from search_spaces.channels import class_tensors
from search_spaces.heads.specs import SSDLiteHead


def teacher_of(checkpoint: Checkpoint, classes: tuple[str, ...], config: TeacherConfig) -> Teacher:
    """Return a checkpoint's network as a teacher; classes are matched by name.

    Args:
        checkpoint: The teacher's network.
        classes: The student's classes.
        config: The teacher's settings.

    Raises:
        InputError: The teacher has other classes.
    """
    order, head = _indices(checkpoint, classes, config.path), checkpoint.spec.head
    detects = isinstance(head, SSDLiteHead)
    if detects:  # column 0 is the background's
        order = (0, *(1 + index for index in order))
    ordered = {
        name: _reordered(checkpoint.weights[name], order) for name in class_tensors(checkpoint.spec)
    }
    network = replace(checkpoint, weights=checkpoint.weights | ordered).network()
    network.to(memory_format=torch.channels_last).requires_grad_(False).eval()
    usage = checkpoint.usage
    return Teacher(
        network,
        px=None if detects else usage.trained_px,  # its anchors must be the student's
        mean=usage.mean,
        std=usage.std,
        temperature=config.temperature,
        weight=config.weight,
    )


def _reordered(scores: torch.Tensor, order: tuple[int, ...]) -> torch.Tensor:
    """Reorder the classes of a layer that scores them, those of each anchor if there are some."""
    anchors, rest = len(scores) // len(order), scores.shape[1:]
    return scores.reshape(anchors, len(order), *rest)[:, list(order)].reshape(scores.shape)


def with_names(checkpoint: Checkpoint, classes: tuple[str, ...]) -> Checkpoint:
    """Return a teacher whose classes have names: the data's in their order, if it has none of its own.

    Args:
        checkpoint: The teacher's network.
        classes: The data's classes, before they are put into a student's order.
    """
    usage = checkpoint.usage
    if usage.named or len(usage.classes) != len(classes):
        return checkpoint
    return replace(checkpoint, usage=replace(usage, classes=classes, named=True))


def _indices(checkpoint: Checkpoint, classes: tuple[str, ...], path: str) -> tuple[int, ...]:
    """Return the teacher's output for each class.

    Raises:
        InputError: The teacher has other classes.
    """
    known = checkpoint.usage.classes
    if len(known) == len(classes):
        found = class_map(classes, checkpoint.usage)
        if not found.matches.unknown and len(set(found.indices())) == len(known):
            return found.indices()
    raise InputError(
        f"{path}: the teacher's {len(known)} classes are not the data's {len(classes)}: fine-tune it on "
        "these images first, by nas train --new-classifier"
    )
