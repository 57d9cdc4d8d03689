"""Check and open the teacher of `nas train --teacher`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

from nas.checkpoints.checkpoint import load_checkpoint
from nas.checkpoints.class_map import class_map
from nas.cli.specs import of_run
from nas.data.images import Dataset
from nas.training.teacher import Teacher
from nas.training_runs.config import TeacherConfig
from search_spaces import InputError
from search_spaces.errors import first_problem


def teacher_config(settings: dict[str, Any] | None) -> TeacherConfig | None:
    """Check the options of a teacher.

    Raises:
        InputError: One is invalid.
    """
    if settings is None:
        return None
    try:
        return TeacherConfig.model_validate(settings)
    except ValidationError as error:
        name, colon, rest = first_problem(error).partition(":")
        option = {"weight": "teacher-weight"}.get(name, name)
        raise InputError(f"--{option}{colon}{rest}") from error


def open_teacher(config: TeacherConfig | None, data: Dataset) -> Teacher | None:
    """Open a teacher, with its outputs in the order of the data's classes.

    Raises:
        InputError: It cannot be read, or has other classes.
    """
    if config is None:
        return None
    path = of_run(config.path, ".pt") or Path(config.path)
    checkpoint = load_checkpoint(path)
    found = class_map(data.classes, checkpoint.usage, None)
    same = not found.matches.unknown and len(set(found.indices())) == len(checkpoint.usage.classes)
    if not same:
        raise InputError(
            f"{path}: the teacher's {len(checkpoint.usage.classes)} classes are not the data's "
            f"{len(data.classes)}: fine-tune it on these images first, by nas train --new-classifier"
        )
    network = checkpoint.network()
    order = torch.tensor(found.indices())
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
