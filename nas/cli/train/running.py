"""Run a training of `nas train`: progress, state, result."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from nas.atomic_files import write_whole
from nas.checkpoints.checkpoint import Checkpoint, checkpoint_bytes
from nas.checkpoints.retrain import Retrained, fit
from nas.cli.errors import Failed
from nas.data.images import Dataset
from nas.display.output import command, print_json
from nas.display.progress import progress_bar
from nas.engine.folder.run_folder import RunFolder
from nas.engine.on_ray.together import Workers, train_together
from nas.engine.runner import RunStoppedError
from nas.formatting import counted
from nas.tasks import task_of
from nas.tasks.intervals import wilson
from nas.training.teacher import Teacher
from nas.training.train import BatchTooLarge, Diverged
from nas.training.train import Progress as TrainProgress
from nas.training_runs.config import TrainConfig
from nas.training_runs.curves import draw_curves
from nas.training_runs.keeping import StateKeeper
from search_spaces import ArchSpec, HeadSpec, InputError
from search_spaces.shell import quoted

START, RESULT = "start.pt", "result.json"
"""Files of the run's folder: what a training begins with, and what says that it is finished."""


@dataclass(frozen=True)
class TrainingJob:
    """A training with its inputs opened.

    Attributes:
        config: Its settings.
        spec: The network.
        start: What to fine-tune; None trains from scratch.
        data: The images, with the network's labels.
        teacher: A network to learn from, if any.
        folder: The run's folder; None before it is created.
    """

    config: TrainConfig
    spec: ArchSpec
    start: Checkpoint | None
    data: Dataset
    teacher: Teacher | None
    folder: RunFolder | None = None

    def announce(self, console: Console, *, own_px: int | None, recipe: str) -> None:
        """Print what will be trained, on what, and for how long.

        Args:
            console: Where to print.
            own_px: The network's deployed size; None for a reference network, which has none.
            recipe: The recipe as it was named.
        """
        name, how, px = self.config.network, self.config.recipe, self.data.resolution_px
        images = len(self.data.train)
        if own_px not in (None, px):
            console.print(
                f"{name}: deployed size changes from {own_px} to {px} px, so its latency changes too",
                soft_wrap=True,
            )
        console.print(
            f"{name}: {'fine-tuning' if self.start else 'training from scratch'}{self._head()} on "
            f"{counted(images, 'image')} of {len(self.data.classes)} classes at {px} px by the recipe "
            f"{recipe}, {counted(how.total_steps(images), 'step')} with batch size {how.batch_size}, on "
            f"{self._where()}{self._taught()}",
            soft_wrap=True,
        )

    def _head(self) -> str:
        """Say which head the network has got, if it comes with another."""
        head = task_of(self.data.task).headed(self.spec, classes=len(self.data.classes)).head
        if isinstance(head, HeadSpec) or type(head) is type(self.spec.head):
            return ""
        return f" with a new {head.kind} head"

    def _taught(self) -> str:
        if self.config.teacher is None or self.teacher is None:
            return ""
        px = "" if self.teacher.px is None else f" ({self.teacher.px} px)"
        return f", with {self.config.teacher.path}{px} as teacher"

    def _where(self) -> str:
        schedule, device = self.config.schedule, self.config.device
        if not schedule.on_ray:
            return device
        workers = counted(schedule.workers, "worker")
        kind = "GPUs if it has enough" if device == "auto" else device
        where = f"the cluster at {schedule.ray_address}" if schedule.ray_address else "this machine"
        return f"{workers} of {where}, {kind}"

    def run(self, console: Console) -> Retrained:
        """Train, with a progress bar; what an interruption leaves is resumed.

        Raises:
            InputError: The loss became NaN or infinite; or another process uses the folder.
            Failed: Workers died too often.
        """
        assert self.folder is not None
        with self.folder.locked():
            begun = TrainConfig.read(self.folder.path)
            if begun.output != self.config.output:  # of a resumed training
                begun.model_copy(update={"output": self.config.output}).write(self.folder.path)
            keeper = StateKeeper(self.folder.path)
            try:
                done = self._train(keeper, console)
                self._write(done, keeper)
            except (KeyboardInterrupt, InputError, OSError, RunStoppedError) as error:
                again = command(f"train --resume {quoted(self.folder.path)}")
                console.print(f"to resume: {again}", soft_wrap=True)
                if isinstance(error, RunStoppedError):
                    raise Failed(str(error)) from error
                raise
            except (BatchTooLarge, Diverged) as error:
                raise InputError(f"{self.config.network}: {error}") from error
        return done

    def _write(self, done: Retrained, keeper: StateKeeper) -> None:
        """Write the files of a finished training."""
        assert self.folder is not None
        write_whole(self.config.output, checkpoint_bytes(done.checkpoint))
        best = done.result.best
        if best is not None and best.accuracy > done.result.accuracy:
            other = replace(done.checkpoint, weights=best.weights)
            write_whole(self.folder / "best.pt", checkpoint_bytes(other))
        metric = task_of(self.data.task).metric.name
        draw_curves(keeper.history, self.folder / "curves.png", metric=metric)
        write_whole(self.folder / RESULT, json.dumps(self.summary(done), indent=1))
        keeper.finish()
        (self.folder / START).unlink(missing_ok=True)

    def _train(self, keeper: StateKeeper, console: Console) -> Retrained:
        epoch_steps = self.config.recipe.epoch_steps(len(self.data.train))
        metric = task_of(self.data.task).metric.name
        with progress_bar(console, "note") as bar:
            task = bar.add_task("training", total=None, note="")

            def show(at: TrainProgress) -> None:
                note = f"loss {at.train_loss:.3f}, {at.images_per_s:.0f} images/s"
                if at.accuracy is not None:
                    console.print(_epoch_line(at, epoch_steps, metric), soft_wrap=True)
                bar.update(task, completed=at.step, total=at.total_steps, note=note)

            config, schedule = self.config, self.config.schedule
            training = partial(
                fit,
                self.spec,
                self.start,
                self.data,
                config.recipe,
                seed=config.random_seed,
                teacher=self.teacher,
                evaluate_every=epoch_steps,
            )
            if not schedule.on_ray:
                return training(device=config.device, keeper=keeper, on_progress=show)
            workers = Workers(
                schedule.workers,
                cpus=schedule.cpus,
                device=config.device,
                address=schedule.ray_address,
                usage_stats=schedule.usage_stats,
            )
            return train_together(training, workers, keeper=keeper, on_progress=show)

    def summary(self, done: Retrained) -> dict[str, Any]:
        """Return the result as plain data."""
        assert self.folder is not None
        return {
            "path": str(_shown(self.config.output)),
            "run": str(self.folder.path),
            "px": self.data.resolution_px,
            **self._scores(done),
            "train_s": done.result.train_s,
            "steps": done.result.steps,
            "planned_steps": self.config.recipe.total_steps(len(self.data.train)),
            "best_step": None if done.result.best is None else done.result.best.step,
            "random_seed": self.config.random_seed,
            "halved_learning_rate": done.result.slowed,
        }

    def _scores(self, done: Retrained) -> dict[str, Any]:
        """Return the metric on held-out and test images; an accuracy's interval follows from itself."""
        name = task_of(self.data.task).metric.name
        interval = {"val_ci95": list(wilson(done.result.accuracy, len(self.data.val)))}
        return {
            f"val_{name}": done.result.accuracy,
            **(interval if name == "accuracy" else {}),
            f"test_{name}": done.test.accuracy,
            "test_ci95": list(done.test.ci95),
        }


def _epoch_line(at: TrainProgress, epoch_steps: int, metric: str) -> str:
    """Describe an evaluation.

    >>> _epoch_line(TrainProgress(20, 40, 1.5, 90.2, 0.75, 0.9, 0.7), 10, "AP")
    'epoch 2: held-out AP 75.0% (70.0% without averaging the weights), training loss 1.500, 90 images/s'
    """
    assert at.accuracy is not None
    beside = ""
    if at.last_accuracy is not None:
        beside = f" ({100 * at.last_accuracy:.1f}% without averaging the weights)"
    return (
        f"epoch {_epoch(at.step, epoch_steps)}: held-out {metric} {100 * at.accuracy:.1f}%{beside}, "
        f"training loss {at.train_loss:.3f}, {at.images_per_s:.0f} images/s"
    )


def _epoch(step: int, epoch_steps: int) -> str:
    """Return the epoch that a step ends, in at most two decimals.

    >>> _epoch(20, 10), _epoch(3, 7)
    ('2', '0.43')
    """
    return f"{round(step / epoch_steps, 2):g}"


def write(done: Retrained, job: TrainingJob, console: Console, *, as_json: bool) -> None:
    """Print the accuracy, the files and the next command."""
    path, data, recipe = _shown(job.config.output), job.data, job.config.recipe
    low, high = done.test.ci95
    metric = task_of(data.task).metric
    said = "" if metric.name == "accuracy" else f" {metric.name}"
    if as_json:
        print_json(job.summary(done))
        return
    assert job.folder is not None
    best, epoch_steps = done.result.best, recipe.epoch_steps(len(data.train))
    if recipe.patience is not None and best is not None:
        ended = (
            f"stopped after epoch {_epoch(done.result.steps, epoch_steps)}, "
            f"{counted(recipe.patience, 'epoch')} without a better held-out {metric.name}; "
            if done.result.steps < recipe.total_steps(len(data.train))
            else ""
        )
        console.print(
            f"{ended}these are the weights of epoch {_epoch(best.step, epoch_steps)}",
            soft_wrap=True,
        )
    if done.result.slowed:
        console.print(
            "the loss became NaN or infinite once: from then on the learning rate was half of the recipe's",
            soft_wrap=True,
        )
    console.print(
        f"{path}: {100 * done.result.accuracy:.1f}%{said} on {len(data.val)} held-out images, "
        f"{100 * done.test.accuracy:.1f}% ({100 * low:.1f} to {100 * high:.1f}) on {len(data.test)} "
        f"test images, all at {data.resolution_px} px\n{job.folder.path}/ has curves.png, history.csv, "
        f"tensorboard/{_about_best(done)}\n"
        f"the worst test images: {command(_evaluation(job))}\n"
        f"next: {command(f'export {quoted(path)}')}",
        soft_wrap=True,
    )


def _evaluation(job: TrainingJob) -> str:
    """Return the arguments of the evaluation that shows the worst images."""
    path, data = _shown(job.config.output), _shown(Path(job.config.data.source))
    page = path.with_suffix(".html")
    return f"evaluate {quoted(path)} --data {quoted(data)} --report {quoted(page)}"


def _about_best(done: Retrained) -> str:
    best = done.result.best
    if best is None or best.accuracy <= done.result.accuracy:
        return ""
    return f", best.pt ({100 * best.accuracy:.1f}% on the held-out images, at step {best.step:,})"


def _shown(path: Path) -> Path:
    """Return the path from here if it is below."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
