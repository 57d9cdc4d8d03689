"""Run a comparison, and print its result."""

from __future__ import annotations

from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from latency import close
from nas.cli.compare.opening import Comparing
from nas.cli.errors import Failed
from nas.cli.options.run import FolderOptions
from nas.comparing.comparison import Comparison, verdict
from nas.comparing.contestant import Contestant
from nas.comparing.tables import cells, headings
from nas.display.compare_view import CompareView
from nas.display.output import command, listed, print_json, results
from nas.display.progress import waiting
from nas.engine.folder.run_folder import RunFolder
from nas.engine.runner import RunStoppedError
from nas.formatting import counted, duration
from nas.run_compare import CARD, NETWORK, RESULTS, compare
from nas.tasks import task_of
from nas.training.speed import teacher_speed, training_speed
from search_spaces import InputError
from search_spaces.shell import quoted


def run(job: Comparing, options: FolderOptions, console: Console) -> None:
    """Say what a comparison will do, do it, and print the result.

    Raises:
        InputError: An input does not fit, or another process uses the folder.
        Failed: Every training failed, or a device is lost.
    """
    try:
        plan = announce(job, console)
        if options.dry_run:
            if options.as_json:
                print_json(plan)
            return
        folder = job.folder or job.start(options)
        console.print(f"run folder: {folder.path}", soft_wrap=True)
        result = _compared(job, folder, console)
    finally:
        for source in job.sources:
            close(source)
    if options.as_json:
        print_json({"run": str(folder.path)} | result.to_dict())
        return
    results().print(_table(result))
    out = results()
    out.print(verdict(result), soft_wrap=True)
    out.print(
        f"{folder.path}/ has {listed(folder.path, (*RESULTS, NETWORK, CARD))}", soft_wrap=True
    )
    if (network := folder / NETWORK).is_file():
        out.print(f"next: {command(f'export {quoted(network)}')}", soft_wrap=True)


def announce(job: Comparing, console: Console) -> dict[str, Any]:
    """Print the networks, the number of trainings and how long they take here; return the same as data."""
    config = job.config
    for one in job.contestants:
        how = "from scratch" if one.start is None else "from its weights"
        how += ", with a new classifier" if one.new_classes else ""
        console.print(f"  {one.name}: {one.spec.resolution} px, trained {how}", soft_wrap=True)
    each = config.seeds + len(config.rates) - 1
    trainings = each * len(job.contestants)
    with waiting(console, "timing a few training steps"):
        seconds = _seconds(job, each)
    choice = f"{config.seeds} seeds" if config.seeds > 1 else "1 seed"
    if len(config.rates) > 1:
        choice += f", and {len(config.rates)} learning rates tried with the first"
    workers = counted(config.schedule.at_once, "worker")
    console.print(
        f"{counted(trainings, 'training')} ({choice}): about {duration(seconds)} on {workers}, "
        "less what is known from before",
        soft_wrap=True,
    )
    networks = [
        {
            "name": one.name,
            "px": one.spec.resolution,
            "from_scratch": one.start is None,
            "new_classifier": one.new_classes,
        }
        for one in job.contestants
    ]
    return {"networks": networks, "trainings": trainings, "seconds": round(seconds)}


def _seconds(job: Comparing, each: int) -> float:
    """Return how long all trainings take, as many for each network."""
    every = sum(_training_s(job, one) for one in job.contestants)
    return each * every / job.config.schedule.at_once


def _training_s(job: Comparing, one: Contestant) -> float:
    """Return how long one training of a network takes, and its evaluation."""
    config, px = job.config, one.spec.resolution
    data, threads = job.images[px], config.schedule.cpus_per_trial
    recipe = config.from_scratch if one.start is None else config.finetune
    rate = training_speed(one.spec, recipe, px=px, threads=threads)
    taught = recipe.total_steps(len(data.train)) * recipe.batch_size
    tested = (len(data.val) + len(data.test)) / 3  # a third of a step
    seconds = (taught + tested) / rate
    if one.first is not None:
        seconds += one.first.total_steps(len(data.train)) * one.first.batch_size / rate
    if job.teacher is not None:
        teacher = job.teacher.teacher(data.classes)
        size = recipe.batch_size
        seconds += taught / teacher_speed(teacher, px=px, batch_size=size, threads=threads)
    return seconds


def _compared(job: Comparing, folder: RunFolder, console: Console) -> Comparison:
    metric = task_of(next(iter(job.images.values())).task).metric.name
    view = CompareView(console, metric)
    try:
        with view.shown():
            return compare(
                job.contestants,
                images=job.images,
                latency=job.sources,
                config=job.config,
                folder=folder.path,
                teacher=None if job.teacher is None else job.teacher.checkpoint,
                watcher=view,
            )
    except (KeyboardInterrupt, InputError, RunStoppedError, OSError) as error:
        again = command(f"compare --resume {quoted(folder.path)}")
        console.print(f"to resume: {again}", soft_wrap=True)
        if isinstance(error, RunStoppedError):
            raise Failed(str(error)) from error
        raise


def _table(result: Comparison) -> Table:
    unstable = any(read.problems for row in result.rows for read in row.latencies)
    caption = f"latencies: interleaved, {', '.join(result.devices)}"
    caption += "; ? marks unstable ones" if unstable else ""
    table = Table(caption=caption, box=SIMPLE, pad_edge=False, collapse_padding=True)
    first, *others = headings(result)
    table.add_column(first)
    for title in others:
        table.add_column(title, justify="right")
    for row, difference in zip(result.rows, result.differences, strict=True):
        table.add_row(*cells(row, difference, brief=True))
    return table
