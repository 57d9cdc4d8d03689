"""Open, start and resume a run of NetAdapt."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from latency import Cached, MeasurementError, open_device, with_anchor
from nas import run_adapt
from nas.adapting.config import AdaptConfig
from nas.adapting.forecast import Forecast, Workload
from nas.adapting.kinds import is_curve
from nas.adapting.results.record import AdaptRecord
from nas.adapting.teacher import SEED, read_teacher
from nas.atomic_files import write_whole
from nas.cli.adapt import settings
from nas.cli.adapt.seed_images import images_of_seed
from nas.cli.adapt.summary import conclude, warn_of_unstable
from nas.cli.errors import Failed
from nas.cli.examining import examine
from nas.cli.options.data import found_again
from nas.cli.provenance import say_run
from nas.cli.teachers import run_teacher
from nas.display.adapt_view import View
from nas.display.output import command
from nas.engine.folder.data_changes import Resumed
from nas.engine.folder.publishing import OF_ADAPT, publish_and_tell
from nas.engine.folder.run_folder import RunFolder, new_folder, open_folder
from nas.engine.folder.run_teacher import RunTeacher
from nas.engine.memoized_source import MemoizedSource
from nas.engine.runner import RunStoppedError
from nas.engine.trial import read_trials
from nas.report.adapt.report import write_adapt_report
from nas.training.teacher_config import TeacherConfig
from search_spaces import InputError
from search_spaces.shell import quoted

if TYPE_CHECKING:
    from nas.adapting.results.adapt_result import AdaptResult
    from nas.checkpoints.checkpoint import Checkpoint
    from nas.data.images import Dataset
    from nas.data.source import ImageSource
    from search_spaces import ArchSpec


@dataclass(frozen=True)
class Adapting:
    """A NetAdapt run, with its inputs opened.

    Attributes:
        pictures: The images, which can be read at any resolution.
        data: Those at the seed's resolution.
    """

    config: AdaptConfig
    seed: Checkpoint
    pictures: ImageSource
    data: Dataset
    source: MemoizedSource
    console: Console
    teacher: RunTeacher | None = None

    @property
    def workload(self) -> Workload:
        """The run's training."""
        madds = 0 if self.teacher is None else self.teacher.madds
        return Workload(self.config, len(self.data.train), madds)

    def run(
        self, folder: RunFolder, forecast: Forecast | None = None, *, began_s: float
    ) -> AdaptResult:
        """Narrow the seed and evaluate the result for the report; on an interruption, print how to resume.

        Args:
            folder: The run's folder.
            forecast: The forecast printed before the run; None if there is none.
            began_s: `time.monotonic` when the command started.

        Raises:
            InputError: Another process holds the run, or its inputs do not fit.
            Failed: The run cannot continue.
        """
        with folder.locked():
            scored_before = (folder / "result.json").is_file()
            result = self._adapt(folder, forecast)
            if examine(folder, "adapted.pt", self.pictures, self.data, self.console):
                write_adapt_report(folder)
            warn_of_unstable(AdaptRecord.read(folder), self.console)
        for sentence in publish_and_tell(folder, *OF_ADAPT):
            self.console.print(sentence, soft_wrap=True)
        conclude(
            result,
            self.console,
            target_ms=self.config.target_ms,
            scored_before=scored_before,
            took_s=time.monotonic() - began_s,
        )
        return result

    def _adapt(self, folder: RunFolder, forecast: Forecast | None) -> AdaptResult:
        config, console = self.config, self.console
        on = None if config.schedule.ray_address else config.schedule.at_once
        view = View(console, self.workload, forecast, workers=on)
        self.source.progress = view.asked
        console.print(f"run folder: {folder.path}", soft_wrap=True)
        try:
            return run_adapt.adapt(
                self.seed,
                data=self.data,
                latency=self.source,
                config=config,
                folder=folder.path,
                watcher=view,
            )
        except (
            KeyboardInterrupt,
            InputError,
            RunStoppedError,
            MeasurementError,
            OSError,
        ) as error:
            again = command(f"--resume {quoted(folder.path)}", program="netadapt")
            console.print(f"to resume: {again}", soft_wrap=True)
            if isinstance(error, KeyboardInterrupt | InputError | OSError):
                raise
            raise Failed(str(error)) from error
        finally:
            view.rest()


def open_adapting(
    config: AdaptConfig,
    seed: Checkpoint,
    source: MemoizedSource,
    console: Console,
    *,
    path: Path,
    resumed: Resumed | None = None,
    teacher: RunTeacher | None = None,
) -> Adapting:
    """Open a run's inputs, so that bad input is found before anything is written.

    Args:
        config: The run's settings.
        seed: The network to narrow.
        source: The latency source.
        console: Shows progress.
        path: Path of the seed, for messages.
        resumed: The resumed run, if any.
        teacher: The network that trainings learn from, if any.

    Raises:
        InputError: An input cannot be opened, or two do not fit together.
    """
    config = config.for_seed(from_parent=seed.from_parent)
    pictures, images = images_of_seed(config, seed, path, console, resumed)
    if teacher is not None:
        if teacher.config.path != SEED:
            teacher.teacher(images.classes)  # fails if it has other classes
        config = config.model_copy(update={"teacher": teacher.config})
    return Adapting(config, seed, pictures, images, source, console, teacher)


def open_teacher(
    settings: Mapping[str, Any] | None, seed: Checkpoint, resumed: Resumed | None = None
) -> RunTeacher | None:
    """Read the network that trainings learn from.

    Args:
        settings: Those of `TeacherConfig`; None without a teacher.
        seed: The network to narrow.
        resumed: The resumed run, if any.

    Raises:
        InputError: It cannot be read.
    """
    if settings is None:
        return None
    config = TeacherConfig.model_validate(settings)
    if config.path == SEED:
        return read_teacher(config, seed)
    return run_teacher(config, resumed)


def open_source(device: str, seed: ArchSpec) -> MemoizedSource:
    """Open a device. Each network is measured once, interleaved with the seed if the device measures."""
    source = open_device(device)
    chosen = with_anchor(source, seed)
    if chosen is source and not source.device.estimate:
        chosen = Cached(source)
    return MemoizedSource(chosen)


def open_seed(path: Path) -> Checkpoint:
    """Load the trained network to narrow.

    Raises:
        InputError: The file is not a checkpoint.
    """
    from nas.checkpoints.checkpoint import load_checkpoint  # imports torch

    if path.suffix in (".yaml", ".yml") and path.is_file():
        raise InputError(
            f"{path} has no weights: train it first with nas train {quoted(path)} --data DIR"
        )
    seed = load_checkpoint(path)
    say_run(path, seed.run)
    return seed


def start(runs: Path, name: str, job: Adapting) -> RunFolder:
    """Create the run's folder and save its settings and seed there."""
    from nas.checkpoints.checkpoint import checkpoint_bytes  # imports torch

    folder = new_folder(runs, name)
    try:
        write_whole(folder / "seed.pt", checkpoint_bytes(job.seed, run=job.seed.run))
        settings.keep(folder, job.config)  # config.yaml makes it a run
    except BaseException:
        folder.discard()  # the name is free again
        raise
    return folder


def reopen(
    path: Path, changes: dict[str, Any], console: Console, *, accept_data_changes: bool = False
) -> tuple[Adapting, RunFolder]:
    """Reopen an interrupted run with its settings, except for the given changes.

    Args:
        path: The run's folder.
        changes: New values of options listed in `settings.MAY_CHANGE`.
        console: Shows progress.
        accept_data_changes: Whether to resume although the images have changed.

    Raises:
        InputError: A setting can no longer change, or another process holds the run; nothing is written.
    """
    folder = open_folder(path)
    folder.hold()  # fails before anything is read
    kept = settings.kept(folder)
    kept = kept.model_copy(update={"data": found_again(kept.data, folder.path)})
    config = settings.changed(kept.model_dump(mode="json"), changes)
    settings.require_used(changes, config)
    if folder.ending and config.final_settings() != kept.final_settings():
        raise InputError(
            f"{folder.path}: a final training has finished, so its settings can no longer change: "
            "resume without --final, --final-epochs and --final-learning-rate"
        )
    if "compare_seeds" in changes:
        _note_extra_trainings(folder, config, console)
    path = folder / "seed.pt"
    seed = open_seed(path)
    source = open_source(config.device, seed.spec)
    resumed = Resumed(folder, accept_data_changes)
    wanted = None if config.teacher is None else config.teacher.model_dump()
    teacher = open_teacher(wanted, seed, resumed)
    job = open_adapting(config, seed, source, console, path=path, resumed=resumed, teacher=teacher)
    if changes:  # nothing is written if the run is refused above
        settings.keep(folder, config)
    return job, folder


def _note_extra_trainings(folder: RunFolder, config: AdaptConfig, console: Console) -> None:
    """Say that existing trainings are all compared, even if fewer seeds are requested now."""
    trials = read_trials(folder / "finals.jsonl")
    kinds = [trial.kind for trial in trials if not is_curve(trial.kind)]
    most = max(map(kinds.count, kinds), default=0)
    if most > config.compare_seeds:
        console.print(
            f"--compare-seeds {config.compare_seeds}: all {most} finished trainings are compared",
            soft_wrap=True,
        )
