"""Begin or resume a training, as `nas train` does."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from functools import partial
from itertools import chain, count
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from nas.atomic_files import write_whole
from nas.checkpoints.checkpoint import Checkpoint, checkpoint_bytes, load_checkpoint
from nas.checkpoints.class_file import read_class_file
from nas.checkpoints.retrain import for_classes
from nas.cli.images import open_images
from nas.cli.options.data import absolute, data_config, found_again
from nas.cli.options.task import HeadOptions
from nas.cli.specs import is_reference, of_run, open_spec, stem
from nas.cli.teachers import run_teacher, teacher_config
from nas.cli.train.classifier import require_classifier
from nas.cli.train.options import NetworkOptions, RecipeOptions, TrainOptions
from nas.cli.train.running import RESULT, START, TrainingJob
from nas.cli.trained import open_trained
from nas.data.config import DataConfig
from nas.data.finding import task_of_source
from nas.data.images import Dataset
from nas.display.output import require_writable_file
from nas.engine.folder.data_changes import Resumed, write_contents
from nas.engine.folder.run_folder import (
    RunFolder,
    check_new,
    free_name,
    new_folder,
    require_writable,
)
from nas.engine.folder.run_teacher import COPY, RunTeacher
from nas.tasks import task_of, task_of_spec
from nas.tasks.heads import headed
from nas.training.named_recipes import read_recipe
from nas.training.recipe import Recipe
from nas.training_runs.config import TrainConfig
from nas.usable_cores import usable_cores
from search_spaces import ArchSpec, InputError
from search_spaces.spec import load, to_yaml

CLASSES = "classes"
"""Stem of the run's copy of the file given by `--classes`, whose suffix says what it holds."""

SPEC = "network.yaml"
"""File of the run's folder: the network, if it is drawn at random."""


def begin(
    name: str | None,
    options: TrainOptions,
    recipe: RecipeOptions,
    network: NetworkOptions,
    *,
    images: HeadOptions,
    console: Console,
) -> TrainingJob:
    """Open the inputs of a new training, say what it will do, and create its folder.

    Raises:
        InputError: An option is invalid or has no effect, an input cannot be opened, or two do not fit.
    """
    settings = images.settings()
    name, seed, start, spec = _network(name, network)
    if options.data is None:
        raise InputError("give --data with a folder of annotated images, or a data set's name")
    names = None if network.classes is None else read_class_file(network.classes)
    task = task_of_source(options.data, images.task)
    usual = task_of(task).usual
    default = usual.from_scratch if start is None else usual.recipe
    chosen = recipe.recipe or default
    how = read_recipe(chosen, recipe.settings(), base=default, task=task)
    schedule = options.schedule()
    schedule.require_parts(how)
    if start is None:
        how.require_new_weights()
    if options.cpus_per_worker is not None and not schedule.on_ray:
        raise InputError("--cpus-per-worker applies to --workers or --ray-address: add one of them")
    device = usable_device(options.device or "auto", on_ray=schedule.on_ray)
    teacher = teacher_config(recipe.teacher_settings())
    output = options.output or _free_output(name)
    require_writable_file(output, source=name, is_chosen=options.output is not None)
    _require_place(options)
    own = None if is_reference(name) else spec
    wanted, own_px = _wanted(options, settings, start, own)
    data = open_images(
        wanted,
        console,
        batch_size=how.batch_size,
        of=seed,
        how=how,
        crop=_crop(how, start),
    )
    if start is not None:
        if network.new_classifier or images.head or task_of_spec(start.spec) != data.task:
            start = _with_new_head(start, data, images.head, seed=options.seed or 0)
        start, data = for_classes(start, data, classes=names, notify=partial(_say, console))
    elif images.head:
        spec = headed(spec, data.task, classes=len(data.classes), head=images.head)
    config = TrainConfig(
        network=name,
        output=output.absolute(),
        data=absolute(wanted.model_copy(update={"proxy_resolution": data.resolution_px})),
        recipe=how,
        random_seed=options.seed or 0,
        device=device,
        teacher=teacher,
        schedule=schedule,
    )
    taught = run_teacher(teacher, None)
    job = TrainingJob(config, spec, start, data, taught.teacher(data.classes) if taught else None)
    job.announce(console, own_px=own_px, recipe=chosen)
    return replace(job, folder=_new_folder(options, job, taught, classes=network.classes))


def resume(path: Path, console: Console, options: TrainOptions) -> TrainingJob:
    """Reopen an interrupted training, which other workers may continue.

    Raises:
        InputError: The folder is not that of an unfinished training, or its inputs have changed.
    """
    if not path.exists():
        raise InputError(f"--resume: there is no folder {path}")
    config = TrainConfig.read(path)
    folder = RunFolder(path)
    if (folder / RESULT).exists():
        raise InputError(f"{path}: this training is finished: its network is {config.output}")
    start = load_checkpoint(folder / START) if (folder / START).exists() else None
    spec = load(folder / SPEC) if start is None else start.spec
    schedule = options.schedule(config.schedule)
    schedule.require_parts(config.recipe)
    config = config.model_copy(
        update={
            "data": found_again(config.data, path),
            "schedule": schedule,
            "device": usable_device(config.device, on_ray=schedule.on_ray),
            "output": _output(config, options),
        }
    )
    data = open_images(
        config.data,
        console,
        batch_size=config.recipe.batch_size,
        resumed=Resumed(folder),
        how=config.recipe,
        crop=_crop(config.recipe, start),
    )
    if start is not None:
        copy = next(folder.path.glob(f"{CLASSES}.*"), None)
        start, data = for_classes(
            start, data, classes=None if copy is None else read_class_file(copy)
        )
    teacher = None
    if config.teacher is not None:
        teacher = RunTeacher(config.teacher, load_checkpoint(folder / COPY)).teacher(data.classes)
    console.print(f"resuming {path}: {config.network} to {config.output}", soft_wrap=True)
    return TrainingJob(config, spec, start, data, teacher, folder)


def _output(config: TrainConfig, options: TrainOptions) -> Path:
    """Return the file that a resumed training writes."""
    if options.output is None:
        return config.output
    require_writable_file(options.output, source=config.network, is_chosen=True)
    return options.output.absolute()


def _free_output(name: str) -> Path:
    """Return NAME-trained.pt, or NAME-trained-2.pt and so on if an earlier training wrote that."""
    place = Path(name)
    place = place if place.name and place.name != ".." else place.resolve()
    endings = chain([""], (f"-{number}" for number in count(2)))
    names = (f"{stem(str(place))}-trained{ending}.pt" for ending in endings)
    return next(path for path in map(place.with_name, names) if not path.exists())


def _crop(recipe: Recipe, start: Checkpoint | None) -> float:
    return recipe.evaluation_crop(1.0 if start is None else start.usage.crop)


def _network(
    name: str | None, network: NetworkOptions
) -> tuple[str, Path | None, Checkpoint | None, ArchSpec]:
    """Open the network to train.

    Returns:
        Its name, its file and its checkpoint if it has weights, and its spec.

    Raises:
        InputError: There is none, or two are given, or it cannot be opened.
    """
    if network.backbone is not None:
        if name is not None or network.from_scratch:
            other = "--from-scratch" if name is None else name
            raise InputError(
                f"--backbone {network.backbone} is the network to begin with: leave {other} out"
            )
        start = open_trained(network.backbone, mend="give SPEC to train from scratch")
        return network.backbone, of_run(network.backbone, ".pt"), start, start.spec
    if name is None:
        raise InputError("give a network to train, or --resume with a run's folder")
    path = Path(name) if name.endswith(".pt") else of_run(name, ".pt")
    seed = None if network.from_scratch else path
    require_classifier(
        name,
        None if seed is None else str(seed),
        from_scratch=network.from_scratch,
        new_classifier=network.new_classifier,
        classes=network.classes,
    )
    spec = open_spec(name, network.changes())
    return name, seed, None if seed is None else load_checkpoint(seed), spec


def _with_new_head(start: Checkpoint, data: Dataset, head: str | None, *, seed: int) -> Checkpoint:
    draw = torch.Generator().manual_seed(seed)
    return start.for_task(data.task, data.classes, head=head, generator=draw)


def _say(console: Console, note: str) -> None:
    console.print(note, soft_wrap=True)


def _require_place(options: TrainOptions) -> None:
    if options.run_name is not None:
        check_new(options.runs, options.run_name)
    require_writable(options.runs)


def _wanted(
    options: TrainOptions, settings: dict[str, Any], start: Checkpoint | None, spec: ArchSpec | None
) -> tuple[DataConfig, int | None]:
    """Return which images to read, and the network's own size; a reference network has none."""
    own_px = None if spec is None else spec.resolution
    if start is not None:
        settings |= {"background": start.usage.background}
    settings.setdefault("decoding_workers", min(8, max(2, usable_cores() // 2)))
    assert options.data is not None
    px = own_px if options.resolution is None else options.resolution
    wanted = data_config(options.data, proxy_resolution=px, **settings)
    return (wanted if start is None else wanted.held_out_by(start.usage.rule)), own_px


def _new_folder(
    options: TrainOptions, job: TrainingJob, taught: RunTeacher | None, *, classes: Path | None
) -> RunFolder:
    """Create the run's folder, with all that resuming needs."""
    dated = f"train-{datetime.now():%Y%m%d-%H%M%S}"
    folder = new_folder(options.runs, options.run_name or free_name(options.runs, dated))
    if job.start is not None:
        write_whole(folder / START, checkpoint_bytes(job.start))
    else:
        write_whole(folder / SPEC, to_yaml(job.spec))
    contents = job.data.contents
    if contents is not None:
        write_contents(folder, contents)
    if taught is not None:
        taught.keep(folder)
    if classes is not None:
        write_whole(folder / f"{CLASSES}{classes.suffix or '.txt'}", classes.read_bytes())
    job.config.write(folder.path)  # the last file: a folder without it cannot be resumed
    return folder


def usable_device(name: str, *, on_ray: bool) -> str:
    """Return the torch device to train on; for several workers, `auto` is decided on their cluster.

    Raises:
        InputError: This machine has none of that name, or workers cannot train on it.
    """
    if on_ray:
        if name not in ("auto", "cpu", "cuda"):
            raise InputError(
                f"--device {name}: workers train on cpu, or on cuda with a GPU each: give one of them"
            )
        return name
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        other = torch.accelerator.current_accelerator(check_available=True)
        known = ["cpu", *([other.type] if other else [])]
        raise InputError(
            f"device {name!r} is not available: this machine has {' and '.join(known)}"
        ) from error
    return name
