"""`nas report`: write a run's report from its folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nas.adapting.results.record import is_adapt_run
from nas.atomic_files import read_json
from nas.comparing.config import is_comparison
from nas.display.output import JsonFlag, messages, print_json
from nas.engine.folder.run_folder import open_folder
from nas.report.adapt.report import write_adapt_report
from nas.report.search.report import write_report
from search_spaces import InputError


def report(
    run: Annotated[Path, typer.Argument(help="A run's folder: runs/NAME.")],
    as_json: JsonFlag = False,
) -> None:
    """Write report.html from a run's folder, finished or not."""
    folder = open_folder(run)
    if is_comparison(run):
        raise InputError(
            f"{run} is a comparison, which writes report.html itself: nas compare --resume {run}"
        )
    path = write_adapt_report(folder) if is_adapt_run(folder) else write_report(folder)
    if as_json:
        result = folder / "result.json"
        figures = read_json(result) if result.is_file() else {}
        print_json({"run": str(run), "report": str(path)} | figures)
        return
    messages().print(f"{path}: open it in a browser")
