"""Compare networks: train them alike, measure them together, and write the result."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from latency import LatencySource
from nas.atomic_files import remove_parts, write_whole
from nas.checkpoints.checkpoint import load_checkpoint
from nas.checkpoints.teachers import with_names
from nas.comparing.comparison import Comparison, Row
from nas.comparing.config import CompareConfig
from nas.comparing.contestant import Contestant, keep_contestants, read_contestants
from nas.comparing.job import CompareJob
from nas.comparing.latencies import Read, recorded_reads
from nas.comparing.logs import CompareLogs
from nas.comparing.plan import Chosen, ComparePlan
from nas.comparing.tables import markdown, table_csv
from nas.comparing.training import CompareTraining
from nas.comparing.trainings import FOLDER, Trainings, digest_of_images, digest_of_teacher
from nas.engine.folder.run_folder import RunFolder
from nas.engine.runner import BatchRunner
from nas.engine.schedule_config import ScheduleConfig
from nas.engine.several_gpus import over_gpus
from nas.engine.watching import RunWatcher, Silent
from nas.engine.workers import run_jobs
from nas.report.compare.card import card
from nas.report.compare.charts import pictures
from nas.report.compare.report import compare_report, details
from nas.tasks import task_of
from search_spaces import InputError

if TYPE_CHECKING:
    from nas.checkpoints.checkpoint import Checkpoint
    from nas.data.images import Dataset
    from nas.training.teacher_config import TeacherConfig

RESULTS = (
    "compare.md", "compare.csv", "compare.json", "compare.png", "compare.svg", "report.html",
)  # fmt: skip
NETWORK, CARD = "network.pt", "card.md"
"""The first network, and its model card; missing if all of its trainings failed."""


def compare(
    contestants: Sequence[Contestant],
    *,
    images: Mapping[int, Dataset],
    latency: Sequence[LatencySource],
    config: CompareConfig,
    folder: Path | str,
    trainings: Path | str | None = None,
    teacher: Checkpoint | None = None,
    watcher: RunWatcher | None = None,
) -> Comparison:
    """Train networks by one recipe with several seeds, and compare them on the test images.

    Each is measured next to the others, then trained at every learning rate of `config.rates`; the rate
    with the highest held-out metric is used for all of its seeds. If `folder` holds an interrupted
    comparison of the same networks, it is resumed. A training that any comparison has finished is reused.

    Args:
        contestants: The networks; the others are compared with the first.
        images: The images at the resolution of each network.
        latency: The devices.
        config: All settings.
        folder: The comparison's folder; created if missing.
        trainings: Folder of finished trainings; next to `folder` by default.
        teacher: The network of `config.teacher`.
        watcher: Is notified of events; None shows nothing.

    Returns:
        The comparison, as saved in `folder`.

    Raises:
        InputError: An argument is invalid, a device refuses a network, or another process uses the folder.
        RunStoppedError: All trainings of a batch failed, or a device is lost.
    """
    _require(contestants, images, config)
    run, watcher = RunFolder(Path(folder)), watcher or Silent()
    beside = run.path.absolute().parent / FOLDER
    store = Trainings(beside if trainings is None else Path(trainings))
    data = images[contestants[0].spec.resolution]
    taught = None
    if teacher is not None and config.teacher is not None:
        taught = with_names(teacher, data.classes), config.teacher
    run.path.mkdir(parents=True, exist_ok=True)
    with run.locked():
        remove_parts(store.folder)
        _keep(run, contestants)
        reads = recorded_reads(run, contestants, latency, watcher)
        plan = _plan(contestants, images, config, taught)
        training = CompareTraining(
            contestants,
            images,
            teacher=taught,
            device=config.schedule.device,
            threads=config.schedule.cpus_per_trial,
        )
        chosen = _trained(plan, training, CompareLogs(run, store, plan.files), config, watcher)
        rows = [
            _row(one, devices, how, store)
            for one, devices, how in zip(contestants, reads, chosen, strict=True)
        ]
        result = Comparison(
            rows=tuple(rows),
            devices=tuple(source.device.name for source in latency),
            metric=task_of(data.task).metric.name,
            images=len(data.test),
        )
        _write(run, result, config)
    return result


def _require(
    contestants: Sequence[Contestant], images: Mapping[int, Dataset], config: CompareConfig
) -> None:
    """Check the networks of a comparison.

    Raises:
        InputError: There are fewer than two, two have one name, images of a resolution are missing, or the
            recipe keeps batch norm statistics that do not fit.
    """
    names = [one.name for one in contestants]
    if len(names) < 2:
        raise InputError(f"a comparison needs two networks, got {', '.join(names) or 'none'}")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(f"two networks are called {twice[0]!r}: give each a name of its own")
    if missing := {one.spec.resolution for one in contestants} - set(images):
        raise InputError(f"images at {min(missing)} px are missing: give them for each resolution")
    if config.finetune.frozen_norms and (cut := [one.name for one in contestants if one.inherited]):
        raise InputError(
            f"frozen_norms keeps batch norm statistics, and those of {cut[0]} are of another network: give "
            "a recipe without it"
        )


def _keep(run: RunFolder, contestants: Sequence[Contestant]) -> None:
    """Write the networks into the folder, or check that it has these.

    Raises:
        InputError: It has others.
    """
    before = read_contestants(run)
    if not before:
        keep_contestants(run, contestants)
        return
    ours, theirs = ([(one.name, one.spec) for one in of] for of in (contestants, before))
    if ours != theirs:
        raise InputError(f"{run.path} compares other networks: give another folder")


def _plan(
    contestants: Sequence[Contestant],
    images: Mapping[int, Dataset],
    config: CompareConfig,
    teacher: tuple[Checkpoint, TeacherConfig] | None,
) -> ComparePlan:
    sides = [one.spec.resolution for one in contestants]
    digests = {px: digest_of_images(images[px]) for px in set(sides)}
    recipes = [
        (config.from_scratch if one.start is None else config.finetune).in_steps(
            len(images[one.spec.resolution].train)
        )
        for one in contestants
    ]
    return ComparePlan(
        contestants,
        recipes,
        [digests[px] for px in sides],
        rates=config.rates,
        seeds=range(config.first_seed, config.first_seed + config.seeds),
        teacher=digest_of_teacher(*teacher) if teacher else None,
        device=_device(config.schedule),
    )


def _device(schedule: ScheduleConfig) -> str:
    """Return the kind of device that trains."""
    import torch

    here = schedule.workers == 0 and torch.cuda.is_available()
    return "cuda" if here or schedule.gpus_per_trial > 0 else "cpu"


def _trained(
    plan: ComparePlan,
    training: CompareTraining,
    logs: CompareLogs,
    config: CompareConfig,
    watcher: RunWatcher,
) -> list[Chosen]:
    """Train what is missing; return how each network was trained."""
    runner: BatchRunner[CompareJob] = BatchRunner(
        plan(),
        logs=logs,
        reward=lambda _job, accuracy: accuracy,
        watcher=watcher,
        hopeless=1,
        recall=logs.recall,
    )
    run_jobs(runner, over_gpus(training, config.schedule.gpus_per_trial), config.schedule)
    chosen: list[Chosen] = runner.result or []
    return chosen


def _row(one: Contestant, reads: tuple[Read, ...], how: Chosen, store: Trainings) -> Row:
    """Gather a network's figures from its trainings."""
    trained = {seed: store.read(file) for seed, file in how.files.items()}
    return Row(
        name=one.name,
        spec=one.spec,
        from_scratch=one.start is None,
        latencies=reads,
        held_out={seed: training.held_out for seed, training in trained.items()},
        evidence={seed: training.evidence for seed, training in trained.items()},
        rate=how.rate,
        train_s=fmean(training.train_s for training in trained.values()) if trained else 0.0,
        files={seed: str(store.path(file)) for seed, file in how.files.items()},
        errors=how.errors,
    )


def _write(run: RunFolder, result: Comparison, config: CompareConfig) -> None:
    contents: list[str | bytes] = [
        markdown(result),
        table_csv(result),
        json.dumps(result.to_dict(), indent=1) + "\n",
        *pictures(result).values(),
        compare_report(run, result, config),
    ]
    for name, content in zip(RESULTS, contents, strict=True):
        write_whole(run / name, content)
    first = result.rows[0]
    if first.held_out:
        seed = max(first.held_out, key=lambda seed: first.held_out[seed])
        write_whole(run / NETWORK, Path(first.files[seed]).read_bytes())
        text = card(
            result,
            load_checkpoint(run / NETWORK).usage,
            seed=seed,
            file=NETWORK,
            details=details(result, config),
        )
        write_whole(run / CARD, text)
