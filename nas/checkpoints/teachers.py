"""Make a teacher from a checkpoint, with its outputs in the order of the student's classes."""

from __future__ import annotations

from dataclasses import replace

import torch

from nas.checkpoints.checkpoint import Checkpoint
from nas.checkpoints.class_map import class_map
from nas.training.teacher import Teacher
from nas.training.teacher_config import TeacherConfig
from search_spaces import InputError


def teacher_of(checkpoint: Checkpoint, classes: tuple[str, ...], config: TeacherConfig) -> Teacher:
    """Return a checkpoint's network as a teacher; classes are matched by name.

    Args:
        checkpoint: The teacher's network.
        classes: The student's classes.
        config: The teacher's settings.

    Raises:
        InputError: The teacher has other classes.
    """
    network = checkpoint.network()
    order = torch.tensor(_indices(checkpoint, classes, config.path))  # (classes,)
    last = [layer for layer in network.modules() if isinstance(layer, torch.nn.Linear)][-1]
    with torch.no_grad():
        last.weight.copy_(last.weight[order].clone())
        last.bias.copy_(last.bias[order].clone())
    network.to(memory_format=torch.channels_last).requires_grad_(False).eval()
    usage = checkpoint.usage
    return Teacher(
        network,
        px=usage.trained_px,
        mean=usage.mean,
        std=usage.std,
        temperature=config.temperature,
        weight=config.weight,
    )


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
