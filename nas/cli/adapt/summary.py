"""Print the result of a NetAdapt run: trajectory, widths, accuracy, comparison, files and next command."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from rich.text import Text

from nas.adapting.baselines import missing_baselines
from nas.adapting.kinds import HOW
from nas.adapting.results.metadata import read_adapt_metadata
from nas.adapting.teacher import sentence
from nas.display.output import command, listed, noted
from nas.formatting import counted, distinguished, duration, figure, percent, three_digits
from nas.report.adapt.text import NO_BASELINE, measured
from nas.report.width_table import WidthRow, width_rows
from nas.tasks import metric_of_spec
from search_spaces.shell import quoted

if TYPE_CHECKING:
    from nas.adapting.results.adapt_result import AdaptResult
    from nas.adapting.results.record import AdaptRecord
    from nas.engine.trial import Trial


def conclude(
    result: AdaptResult,
    console: Console,
    *,
    target_ms: float,
    scored_before: bool,
    took_s: float,
) -> None:
    """Print the final network next to the seed, and the next command.

    Args:
        result: The run's result.
        console: Console to print to.
        target_ms: Target latency.
        scored_before: Whether the run had a result before, and so had scored the test images.
        took_s: Seconds since the command started.
    """
    metric = metric_of_spec(result.spec).name
    console.print(_trajectory(result))
    console.print(_widths(width_rows(result.seed_spec, result.spec)))
    now, target = distinguished(result.latency.median_ms, target_ms)
    if not result.reached:
        console.print(
            noted(
                "The target was not reached",
                f": no layer can save more latency; the network takes {now} ms",
            )
        )
    for kind in sorted({trial.kind for trial in result.finals}):
        each = sorted((t for t in result.finals if t.kind == kind), key=lambda t: t.index)
        console.print(
            f"trained {HOW[kind]}: {', '.join(_figure(t, metric) for t in each)} on held-out images",
            soft_wrap=True,
        )
    metadata = read_adapt_metadata(result.folder / "run.json")
    taught = bool(metadata.settings.get("teach_proposals"))
    if metadata.teacher is not None and (result.finals or taught):
        console.print(sentence(metadata.teacher, proposals=taught), soft_wrap=True)
    if (better := result.better_step) is not None:
        console.print(
            noted(
                f"The final training lowered the {metric}",
                f", so adapted.pt and adapted.onnx keep the weights of the last step "
                f"({percent(better.accuracy or 0.0)} on held-out images): train longer (--final-epochs)",
            ),
            soft_wrap=True,
        )
    seed_ms, steps = result.seed_latency.median_ms, counted(len(result.family), "step")
    console.print(
        f"seed {figure(result.seed_accuracy, metric)} at {three_digits(seed_ms)} ms -> {now} ms "
        f"(target {target} ms) at {result.px} px in {steps}; this took {duration(took_s)}",
        soft_wrap=True,
    )
    again = " (this run had scored the test images before)" if scored_before else ""
    if result.test_accuracy is not None:
        console.print(
            f"test {metric}: {percent(result.test_accuracy)} at {result.px} px{again}",
            soft_wrap=True,
        )
    if result.onnx is not None:
        console.print(
            f"adapted.onnx, {result.px} px: {figure(result.onnx.accuracy, metric)} on the "
            f"{result.onnx.images:,} held-out images in ONNX Runtime",
            soft_wrap=True,
        )
    _compare(result, console)
    folder = result.folder.path
    adapted = quoted(folder / "adapted.yaml")
    files = ("adapted.yaml", "adapted.pt", "adapted.onnx", "family/", "family.csv", "report.html")
    console.print(
        f"\n{folder}/ has {listed(folder, files)}\nnext: {command(f'show {adapted}')}",
        soft_wrap=True,
    )


def warn_of_unstable(run: AdaptRecord, console: Console) -> None:
    """Print how many latencies are unstable, as counted in the report."""
    readings = measured(run)
    if unstable := sum(not reading.stable for reading in readings):
        console.print(
            f"{unstable} of {counted(len(readings), 'latency', 'latencies')} are unstable: other "
            "programs were running, here or on the same host",
            soft_wrap=True,
        )


def _compare(result: AdaptResult, console: Console) -> None:
    for baseline in result.baselines:
        console.print(
            f"{baseline.name}: {baseline.about}, {three_digits(baseline.latency.median_ms)} ms",
            soft_wrap=True,
        )
    for comparison in result.comparisons:
        console.print(comparison.sentence(metric_of_spec(result.spec).name), soft_wrap=True)
    for name in missing_baselines(result.folder):
        console.print(NO_BASELINE.format(name), soft_wrap=True)
    if not result.comparisons and not missing_baselines(result.folder):
        resume = command(
            f"--resume {quoted(result.folder.path)} --compare uniform", program="netadapt"
        )
        console.print(f"to compare with a uniform width multiplier: {resume}", soft_wrap=True)


def _figure(trial: Trial, metric: str) -> str:
    return f"failed: {trial.error}" if trial.accuracy is None else figure(trial.accuracy, metric)


def _trajectory(result: AdaptResult) -> Table:
    """Tabulate the steps, one row each."""
    table = Table(title=f"trajectory, at {result.px} px", box=SIMPLE, pad_edge=False)
    for title in ("step", metric_of_spec(result.spec).name, "latency ms", "MAdds", "params"):
        table.add_column(title, justify="right")
    for step, accuracy, ms, params, madds in result.trajectory:
        sizes = (f"{three_digits(madds / 1e6)}M", f"{three_digits(params / 1e6)}M")
        table.add_row(str(step or "seed"), percent(accuracy), three_digits(ms), *sizes)
    return table


def _widths(rows: list[WidthRow]) -> Table:
    """Tabulate the widths before and after, one row per layer."""
    table = Table(title="widths", box=SIMPLE, pad_edge=False)
    table.add_column("layer")
    for title in ("expansion", "output"):
        table.add_column(title, justify="right")
    for row in rows:
        cells = [
            _change(*pair) if pair is not None else Text() for pair in (row.expansion, row.output)
        ]
        table.add_row(row.name, *cells)
    return table


def _change(before: int, after: int) -> Text:
    if before == after:
        return Text(str(after))
    return Text.assemble(f"{before} -> ", (str(after or "dropped"), "bold"))
