"""`report.html` of a search: one self-contained page with everything needed to check the result."""

from __future__ import annotations

from pathlib import Path

from nas.atomic_files import write_whole
from nas.engine.folder.run_folder import RunFolder
from nas.formatting import metric_title
from nas.report.evaluation import evaluation_of_run
from nas.report.page import counted_failures, render_page
from nas.report.search.policy_chart import SCALE, frequencies, policy_by_block
from nas.report.search.reward_chart import reward_over_trials
from nas.report.search.table import column_titles, table_rows
from nas.report.search.text import details, headline, verdict
from nas.report.search.tradeoff_chart import accuracy_over_latency
from nas.searching.results.record import RunRecord


def write_report(folder: RunFolder) -> Path:
    """Write the report of a run, finished or not, from the contents of its folder.

    Raises:
        InputError: The folder has no run.json, or a file in it is damaged.
    """
    path = folder / "report.html"
    write_whole(path, render(folder))
    return path


def render(folder: RunFolder) -> str:
    """Return the report as self-contained HTML."""
    run = RunRecord.read(folder)
    blocks = policy_by_block(
        run.probabilities or frequencies(run.candidates, run.labels), run.labels
    )
    policy = {f"policy-{i}": (name, figure) for i, (name, figure) in enumerate(blocks.items())}
    places = range(len(run.devices))
    figures = {chart_id(place): accuracy_over_latency(run, place) for place in places}
    figures["rewards"] = reward_over_trials(run)
    evaluation = evaluation_of_run(folder, finished=run.result is not None)
    return render_page(
        "report_template.html",
        kind="Search",
        run=run,
        metric_title=metric_title(run.metric),
        headline=headline(run),
        verdict=verdict(run),
        alike=run.noise is not None and not run.noise.differ,
        details=details(run),
        failures=[
            *counted_failures("Failed", (t.error or "no finite figures" for t in run.failed)),
            *counted_failures("Finals failed", (t.error for t in run.finals if t.error)),
        ],
        scatters={chart_id(place): run.devices[place] for place in places},
        titles=column_titles(run),
        rows=table_rows(run),
        scale=[color for _, color in SCALE],
        **evaluation.values,
        policy={id_: name for id_, (name, _) in policy.items()},
        figures=figures | {id_: figure for id_, (_, figure) in policy.items()} | evaluation.figures,
    )


def chart_id(place: int) -> str:
    """Return the element id of a device's chart.

    >>> chart_id(0), chart_id(1)
    ('scatter', 'scatter-2')
    """
    return "scatter" if place == 0 else f"scatter-{place + 1}"
