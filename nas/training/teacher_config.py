"""The `teacher` section of settings: which network to learn from, and how much."""

from __future__ import annotations

from pydantic import BaseModel, Field

from nas.schema import SETTINGS


class TeacherConfig(BaseModel):
    """The network to learn from beside the labels; see `nas.training.teacher.Teacher`.

    Attributes:
        path: Its checkpoint.
        temperature: Divides both networks' logits.
        weight: Of the teacher's part of the loss; the labels have the rest.
    """

    model_config = SETTINGS

    path: str
    temperature: float = Field(default=2.0, gt=0)
    weight: float = Field(default=0.5, gt=0, le=1)
