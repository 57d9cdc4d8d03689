"""The picture of a training: loss and held-out accuracy by step."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from nas.atomic_files import write_whole

if TYPE_CHECKING:
    from nas.training.progress import Progress


def draw_curves(history: list[Progress], path: Path, *, metric: str) -> None:
    """Draw the evaluations of a training as PNG.

    Args:
        history: The evaluations.
        path: The file to write.
        metric: Name of what `accuracy` is, such as `AP`.

    Raises:
        InputError: The file cannot be written.
    """
    from matplotlib.figure import (
        Figure,  # half a second, which a training's start need not wait for
    )

    figure = Figure(figsize=(8, 4.5), dpi=120, layout="constrained")
    losses, accuracies = figure.subplots(1, 2)
    steps = [at.step for at in history]
    losses.plot(steps, [at.train_loss for at in history], ".-", label="training, augmented")
    losses.plot(steps, [at.loss for at in history], ".-", label="held out")
    losses.set_ylabel("loss")  # a teacher's part is larger than the labels' cross entropy
    held_out = _percent([at.accuracy for at in history])
    accuracies.plot(steps, held_out, ".-", color="C1", label="held out")  # as the loss
    if any(at.last_accuracy is not None for at in history):
        last = _percent([at.last_accuracy for at in history])
        accuracies.plot(steps, last, ".--", color="C2", label="held out, without averaging")
    accuracies.set_ylabel(f"{metric}, %")
    for part in (losses, accuracies):
        part.set_xlabel("step")
        part.grid(alpha=0.3)
        part.legend(frameon=False)
    content = io.BytesIO()
    figure.savefig(content, format="png")
    write_whole(path, content.getvalue())


def _percent(shares: list[float | None]) -> list[float]:
    return [float("nan") if share is None else 100 * share for share in shares]
