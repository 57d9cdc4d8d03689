"""`report.html` of a NetAdapt run: one self-contained page with everything needed to check the result."""

from __future__ import annotations

from pathlib import Path

from nas.adapting.results.record import AdaptRecord
from nas.atomic_files import write_whole
from nas.engine.folder.run_folder import RunFolder
from nas.formatting import metric_title
from nas.report.adapt.family_chart import family_and_baselines
from nas.report.adapt.table import FINAL_TITLES, final_rows, step_tables, step_titles
from nas.report.adapt.text import details, files, headline, next_commands, verdict
from nas.report.adapt.trajectory_chart import trajectory
from nas.report.adapt.widths_chart import widths_before_and_after
from nas.report.evaluation import evaluation_of_run
from nas.report.page import counted_failures, render_page


def write_adapt_report(folder: RunFolder) -> Path:
    """Write the report of a run, finished or not, from the contents of its folder.

    Raises:
        InputError: The folder is not that of a NetAdapt run, or a file in it is damaged.
    """
    path = folder / "report.html"
    write_whole(path, render(folder))
    return path


def render(folder: RunFolder) -> str:
    """Return the report as self-contained HTML."""
    run = AdaptRecord.read(folder)
    comparisons = run.comparisons
    evaluation = evaluation_of_run(folder, finished=run.result is not None)
    return render_page(
        "adapt_report_template.html",
        kind="NetAdapt",
        run=run,
        metric_title=metric_title(run.metric),
        headline=headline(run),
        verdict=verdict(run),
        alike=not comparisons or any(c.by_chance or c.points < 0 for c in comparisons),
        details=details(run),
        failures=counted_failures("Discarded", (str(trial.error) for trial in run.failed)),
        final_titles=FINAL_TITLES,
        final_rows=final_rows(run),
        step_titles=step_titles(run),
        steps=step_tables(run),
        files=files(run),
        commands=next_commands(run),
        figures={
            "trajectory": trajectory(run),
            "widths": widths_before_and_after(run.seed, run.adapted),
            "family": family_and_baselines(run),
        }
        | evaluation.figures,
        **evaluation.values,
    )
