"""`report.html` of a NetAdapt run: on one page, self-contained, for a reader who wants to check it."""

from __future__ import annotations

from pathlib import Path

from nas.adapt_record import AdaptRecord
from nas.adapt_report_table import LAST_TITLES, STEP_TITLES, last_rows, step_tables
from nas.adapt_report_text import facts, files, headline, next_commands, verdict
from nas.family_chart import family_and_rivals
from nas.files import write_whole
from nas.page import counted_failures, render_page
from nas.runs import RunFolder
from nas.trajectory_chart import trajectory
from nas.widths_chart import widths_before_and_after


def write_adapt_report(folder: RunFolder) -> Path:
    """Write the report of a NetAdapt run, finished or not, from what its folder holds.

    Raises:
        InputError: The folder is not a NetAdapt run's, or a file in it is damaged.
    """
    path = folder / "report.html"
    write_whole(path, render(folder))
    return path


def render(folder: RunFolder) -> str:
    """The report as HTML; everything that it needs is inside."""
    run = AdaptRecord.read(folder)
    comparisons = run.comparisons
    return render_page(
        "adapt_report_template.html",
        kind="NetAdapt",
        run=run,
        headline=headline(run),
        verdict=verdict(run),
        alike=not comparisons or any(c.by_chance or c.points < 0 for c in comparisons),
        facts=facts(run),
        failures=counted_failures("Discarded", (str(trial.error) for trial in run.failed)),
        last_titles=LAST_TITLES,
        last_rows=last_rows(run),
        step_titles=STEP_TITLES,
        steps=step_tables(run),
        files=files(run),
        commands=next_commands(run),
        figures={
            "trajectory": trajectory(run),
            "widths": widths_before_and_after(run.seed, run.last),
            "family": family_and_rivals(run),
        },
    )
