"""Run an ablation of searches: one `nas-search` after another, in folders of one run."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from nas.ablating.outcome import Outcome
from nas.ablating.search_lists import SearchAblation
from nas.ablating.search_plan import FILE, FOLDER, PlannedSearch, SearchesPlan
from nas.ablating.search_results import TITLES, SearchResults
from nas.atomic_files import write_whole
from nas.cli.compare.options import AblateOptions, Asked
from nas.cli.errors import Failed
from nas.cli.options.data import absolute
from nas.cli.options.run import FolderOptions
from nas.cli.search import opening, running
from nas.cli.search.job import open_controller
from nas.cli.search.options import (
    DEFAULT_PARENT,
    ProcedureOptions,
    SearchRunOptions,
    TargetOptions,
    search_overrides,
)
from nas.display.output import command, listed, print_json, results
from nas.engine.folder.run_folder import (
    RunFolder,
    check_new,
    free_name,
    new_folder,
    require_writable,
)
from nas.engine.runner import RunStoppedError
from nas.formatting import counted
from nas.report.ablation.charts import pictures
from nas.searching.config import SearchConfig, load_config
from nas.searching.results.record import RunRecord
from search_spaces import InputError
from search_spaces.shell import quoted

RESULTS = ("ablate.md", "ablate.csv", "ablate.json", "ablate.png", "ablate.svg")

SEEDS = 3
"""Searches of each kind, if none are asked for."""


def begin(ablation: SearchAblation, asked: Asked, console: Console) -> None:
    """Run a new ablation of searches, and print its result; with `--dry-run` print what it would do.

    Raises:
        InputError: An option or a setting is invalid, or an input cannot be opened.
        Failed: A search stopped.
    """
    what, run = asked.what, asked.run
    assert isinstance(what, AblateOptions)
    if run.run_name is not None:
        check_new(run.runs, run.run_name)
    seeds = SEEDS if what.seeds is None else what.seeds
    if seeds < 1:
        raise InputError(f"--seeds {seeds}: give 1 or more")
    first = what.random_seed or 0
    plan = SearchesPlan(
        ablation.about, _configs(ablation, what, asked), (*range(first, first + seeds),)
    )
    searches = f"{counted(len(plan), 'search', 'searches')}: {', '.join(plan.configs)}"
    console.print(f"{searches}; {counted(seeds, 'seed')} each", soft_wrap=True)
    if run.dry_run:
        running.begin(
            next(iter(plan)).config, SearchRunOptions(runs=run.runs, dry_run=True), console
        )
        if run.as_json:
            print_json({"searches": list(plan.configs), "seeds": list(plan.seeds)})
        return
    require_writable(run.runs)
    name = run.run_name or free_name(run.runs, f"ablate-{datetime.now():%Y%m%d-%H%M%S}")
    folder = new_folder(run.runs, name)
    plan.write(folder.path)
    _Ablating(plan, folder, asked.schedule.settings(), console, is_new=True).finish(run)


def is_of_searches(path: Path) -> bool:
    """Return whether a run's folder is of an ablation of searches."""
    return (path / FILE).is_file()


def resume(path: Path, asked: Asked, console: Console) -> None:
    """Resume an interrupted ablation of searches; finished ones are not run again.

    Raises:
        InputError: The plan is damaged, or an input cannot be opened.
        Failed: A search stopped.
    """
    plan, folder = SearchesPlan.read(path), RunFolder(path)
    ablating = _Ablating(plan, folder, asked.schedule.settings(), console)
    if not asked.run.dry_run:
        ablating.finish(asked.run)
        return
    done = [one.folder for one in plan if ablating.is_finished(one)]
    console.print(f"{path}: {len(done)} of {counted(len(plan), 'search', 'searches')} done")
    if asked.run.as_json:
        print_json({"run": str(path), "done": done, "searches": len(plan)})


def _configs(
    ablation: SearchAblation, what: AblateOptions, asked: Asked
) -> dict[str, SearchConfig]:
    """Return the settings of each search, with absolute paths.

    Raises:
        InputError: One is invalid.
    """
    target = TargetOptions(
        target_ms=what.target_ms,
        device=what.device,
        data=what.data,
        resolution=what.resolution,
        parent=what.parent,
        from_scratch=what.from_scratch,
    )
    given = search_overrides(
        target, ProcedureOptions(trials=what.trials), asked.images, asked.schedule
    )
    configs = ablation.configs(
        given,
        preset=what.preset or "standard",
        file=what.config,
        default_parent=None if what.from_scratch else DEFAULT_PARENT,
    )
    for name, config in configs.items():
        try:
            open_controller(config, opening.ANY_ARITIES)  # of each, before the first search runs
        except InputError as error:
            raise InputError(f"{name}: {error}") from error
    return {name: _anywhere(config) for name, config in configs.items()}


def _anywhere(config: SearchConfig) -> SearchConfig:
    """Return settings whose files are found from any folder."""
    changes: dict[str, Any] = {"data": absolute(config.data)}
    if config.parent is not None and Path(config.parent.path).exists():
        path = str(Path(config.parent.path).absolute())
        changes["parent"] = config.parent.model_copy(update={"path": path})
    return config.model_copy(update=changes)


@dataclass
class _Ablating:
    """An ablation in its folder.

    Attributes:
        schedule: New settings of where trials train.
        is_new: Whether this process has created the folder.
    """

    plan: SearchesPlan
    folder: RunFolder
    schedule: dict[str, Any]
    console: Console
    is_new: bool = False

    def is_finished(self, one: PlannedSearch) -> bool:
        """Return whether a search has its result."""
        return (self._path(one) / "result.json").is_file()

    def finish(self, options: FolderOptions) -> None:
        """Run what is missing, and write and print the result.

        Raises:
            InputError: An input cannot be opened, or another process uses the folder.
            Failed: A search stopped.
        """
        self.console.print(f"run folder: {self.folder.path}", soft_wrap=True)
        with self.folder.locked():
            try:
                for number, one in enumerate(self.plan, start=1):
                    of = f"search {number} of {len(self.plan)}: {one.name}, seed {one.seed}"
                    done = self.is_finished(one)
                    self.console.print(f"{of}{' (done)' if done else ''}", soft_wrap=True)
                    if not done:
                        self._search(one)
            except (KeyboardInterrupt, InputError, RunStoppedError, OSError) as error:
                if self.is_new and isinstance(error, InputError) and not self._has_begun():
                    self.folder.discard()  # nothing to resume; frees the name
                    raise
                again = command(f"ablate --resume {quoted(self.folder.path)}")
                self.console.print(f"to resume: {again}", soft_wrap=True)
                if isinstance(error, RunStoppedError):
                    raise Failed(str(error)) from error
                raise
            result = self._written()
        if options.as_json:
            print_json({"run": str(self.folder.path)} | result.to_dict())
            return
        out, files = results(), listed(self.folder.path, RESULTS)
        out.print(_table(result))
        out.print(result.verdict(), soft_wrap=True)
        out.print(f"{self.folder.path}/ has {files}, and {FOLDER}/ the searches", soft_wrap=True)

    def _path(self, one: PlannedSearch) -> Path:
        return self.folder / FOLDER / one.folder

    def _search(self, one: PlannedSearch) -> None:
        """Begin or resume a search, and run it to its end."""
        path = self._path(one)
        if (path / "config.yaml").is_file():
            job, folder, _ = opening.reopen(path, self.schedule, self.console)
        else:
            shutil.rmtree(path, ignore_errors=True)  # was being created when the process was killed
            if (first := self._first_config()) is not None:
                one = one.with_targets_of(first)
            schedule = one.config.schedule.model_copy(update=self.schedule)
            one = replace(one, config=one.config.model_copy(update={"schedule": schedule}))
            own = SearchRunOptions(runs=path.parent, run_name=path.name)
            begun = running.begin(one.config, own, self.console)
            assert begun is not None  # as it is for a dry run
            job, folder = begun
        job.run(folder)

    def _has_begun(self) -> bool:
        return any((self._path(one) / "config.yaml").is_file() for one in self.plan)

    def _first_config(self) -> SearchConfig | None:
        """Return the settings of the first search, with its target; None before it has begun."""
        path = self._path(next(iter(self.plan))) / "config.yaml"
        return load_config(path) if path.is_file() else None

    def _written(self) -> SearchResults:
        """Gather the result of all searches, and write it."""
        outcomes: dict[str, list[Outcome]] = {name: [] for name in self.plan.configs}
        for one in self.plan:
            outcome = Outcome.read(RunFolder(self._path(one)), one.name, seed=one.seed)
            outcomes[one.name].append(outcome)
        record = RunRecord.read(RunFolder(self._path(next(iter(self.plan)))))
        devices = [f"{one.name}, target {one.target_ms:.3g} ms" for one in record.devices]
        result = SearchResults(self.plan.about, outcomes, record.metric, tuple(devices))
        contents: list[str | bytes] = [
            result.markdown(),
            result.csv(),
            json.dumps(result.to_dict(), indent=1) + "\n",
            *pictures(result).values(),
        ]
        for name, content in zip(RESULTS, contents, strict=True):
            write_whole(self.folder / name, content)
        return result


def _table(result: SearchResults) -> Table:
    table = Table(caption=result.about, box=SIMPLE, pad_edge=False, collapse_padding=True)
    first, *others = (title.format(metric=result.metric) for title in TITLES)
    table.add_column(first)
    for title in others:
        table.add_column(title, justify="right")
    for name in result.outcomes:
        table.add_row(*result.cells(name))
    return table
