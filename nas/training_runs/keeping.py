"""Keeps the state of a training in its folder, and the history of its accuracy."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from nas.atomic_files import write_whole
from nas.checkpoints.torch_files import read_torch
from nas.training.keeping import Due
from nas.training.progress import Progress
from search_spaces import InputError

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

STATE = "state.pt"
HISTORY = "history.csv"
SHOWN = ("train_loss", "loss", "accuracy", "last_accuracy", "images_per_s")
COLUMNS = tuple(field.name for field in fields(Progress))


class StateKeeper:
    """Keeps a training's state in its folder, when `nas.training.keeping.Due` says so.

    The state is replaced as a whole: a full disk or a `kill -9` leaves the one before.

    Args:
        folder: The run's folder.
        minutes: Minutes between two states within an epoch.
        clock: Seconds, as `time.monotonic`.
    """

    def __init__(
        self, folder: Path, *, minutes: float = 10.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._folder = folder
        self._due = Due(minutes=minutes, clock=clock)
        self._board: SummaryWriter | None = None
        self.history: list[Progress] = []

    def load(self) -> dict[str, Any] | None:
        """Return the last state that was kept; None at the beginning.

        Raises:
            InputError: The file is damaged.
        """
        path = self._folder / STATE
        if not path.exists():
            return None
        state = read_torch(
            path, wanted="an intact copy, or remove the file to train from the start"
        )
        missing = {"history", "training"} - state.keys()
        if missing:
            raise InputError(f"{path}: has no {missing.pop()}: remove it to train from the start")
        self.history = [Progress(**row) for row in state["history"]]
        training: dict[str, Any] = state["training"]
        return training

    def due(self, step: int, epoch_steps: int) -> bool:
        """Return whether to keep the state after this many steps."""
        return self._due(step, epoch_steps)

    def keep(self, state: dict[str, Any], progress: Progress) -> None:
        """Keep a state.

        Raises:
            InputError: The disk is full; the state before is still there.
        """
        self.add(progress)
        content = io.BytesIO()
        rows = [asdict(row) for row in self.history]
        torch.save({"training": state, "history": rows}, content)
        write_whole(self._folder / STATE, content.getvalue())
        write_whole(self._folder / HISTORY, history_csv(self.history))
        self._due.kept()

    def add(self, progress: Progress) -> None:
        """Add an evaluation to the history and to TensorBoard's events."""
        if progress.accuracy is None:
            return
        self.history.append(progress)
        if self._board is None:
            from torch.utils.tensorboard import SummaryWriter  # a second

            # Events of steps after the state, of a process that was killed, are not shown.
            self._board = SummaryWriter(str(self._folder / "tensorboard"), purge_step=progress.step)
        for name in SHOWN:
            if (value := getattr(progress, name)) is not None:
                self._board.add_scalar(name, value, progress.step)
        self._board.flush()

    def finish(self) -> None:
        """Write the whole history, and remove the state: the training is over."""
        write_whole(self._folder / HISTORY, history_csv(self.history))
        (self._folder / STATE).unlink(missing_ok=True)
        if self._board is not None:
            self._board.close()


def history_csv(history: list[Progress]) -> str:
    """Return a table with a line per evaluation."""
    text = io.StringIO()
    table = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    table.writeheader()
    table.writerows(asdict(row) for row in history)
    return text.getvalue()
