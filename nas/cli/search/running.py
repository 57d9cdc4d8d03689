"""Begin, resume and finish the run of a search, as `nas-search` does."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from nas.cli.errors import Failed
from nas.cli.search import opening, planning
from nas.cli.search.job import Job
from nas.cli.search.options import SearchRunOptions
from nas.cli.search.summary import conclude
from nas.display.output import print_json, search_line
from nas.engine.folder.publishing import OF_SEARCH, publish_and_tell
from nas.engine.folder.run_folder import RunFolder, check_new, free_name, require_writable
from nas.engine.runner import RunStoppedError
from nas.searching.config import SearchConfig
from nas.searching.results.search_result import SearchResult
from search_spaces import InputError
from search_spaces.shell import quoted


def begin(
    config: SearchConfig, run: SearchRunOptions, console: Console
) -> tuple[Job, RunFolder] | None:
    """Print the plan of a search and create its folder; None for a dry run.

    Raises:
        InputError: See `opening.open_job` and `planning.plan`; a target cannot be met, or the folder cannot
            be created.
    """
    if run.run_name is not None:
        check_new(run.runs, run.run_name)
    if not run.dry_run:
        require_writable(run.runs)
    job, document = planning.plan(opening.open_job(config, console), run.runs, verbose=run.verbose)
    if run.dry_run:
        if run.as_json:
            print_json(document)
        return None
    if document["out_of_reach"]:
        raise InputError("; ".join(document["out_of_reach"]))
    name = run.run_name or free_name(run.runs, _default_name(config))
    return job, opening.start(job, run.runs, name)


def resume(
    path: Path,
    run: SearchRunOptions,
    schedule: dict[str, Any],
    images: dict[str, Any],
    console: Console,
) -> tuple[Job, RunFolder] | None:
    """Reopen a run and print its progress; None for a dry run.

    Args:
        path: The run's folder.
        run: The options for it.
        schedule: New values for `config.schedule`.
        images: New values for `config.data`.
        console: Shows progress.

    Raises:
        InputError: See `opening.reopen`.
    """
    job, folder, done = opening.reopen(
        path,
        schedule,
        console,
        hold=not run.dry_run,
        data=images,
        accept_data_changes=run.accept_data_changes,
    )
    if not run.dry_run:
        return job, folder
    if run.as_json:
        print_json(done)
    return None


def finish(job: Job, folder: RunFolder, run: SearchRunOptions, *, began_s: float) -> None:
    """Run a search to its end, and print the result.

    Args:
        job: The search.
        folder: Its folder.
        run: The options for it.
        began_s: `time.monotonic` when the command started.

    Raises:
        InputError: An input does not fit, or another process holds the run.
        Failed: The search stopped.
    """
    console = job.console
    console.print(f"run folder: {folder.path}", soft_wrap=True)
    scored_before = (folder / "result.json").is_file()
    result = _searched(job, folder, is_new=run.resume is None)
    for sentence in publish_and_tell(folder, *OF_SEARCH):
        console.print(sentence, soft_wrap=True)
    conclude(
        result,
        console,
        took_s=time.monotonic() - began_s,
        resumed=run.resume is not None,
        scored_before=scored_before,
        verbose=run.verbose,
    )
    if run.as_json:
        print_json({"run": str(folder.path)} | result.to_dict())


def _searched(job: Job, folder: RunFolder, *, is_new: bool) -> SearchResult:
    """Run a search; if it ends early, print how to resume or remove the unused folder."""
    try:
        return job.run(folder)
    except (KeyboardInterrupt, InputError, RunStoppedError, OSError) as error:
        ended = isinstance(error, KeyboardInterrupt | InputError)
        if is_new and ended and not (folder.search_begun or folder.prepared):
            folder.discard()  # nothing to resume; frees the name
        else:
            again = search_line(f"--resume {quoted(folder.path)}")
            job.console.print(f"to resume: {again}", soft_wrap=True)
        if isinstance(error, RunStoppedError):
            raise Failed(str(error)) from error
        raise


def _default_name(config: SearchConfig) -> str:
    """Return the space and the time, which sorts by age."""
    now = datetime.now().strftime("%Y%m%d-%H%M%S")
    return f"{Path(config.space).stem}-{now}"
