"""Print the result of a search: finalists, files and next command."""

from __future__ import annotations

from typing import Literal

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from latency import Latency
from nas.display.output import command, listed, noted
from nas.engine.job import RIVAL
from nas.engine.trial import Trial
from nas.formatting import (
    ACCURACY,
    counted,
    duration,
    in_short,
    interval,
    on_each,
    over_images,
    percent,
    short_names,
    three_digits,
)
from nas.report.search.procedure import procedure
from nas.searching.planning.evidence import advice_after
from nas.searching.results.record import RunRecord
from nas.searching.results.search_result import SearchResult, name_of
from nas.searching.results.verdict import FINALIST_FILE, RIVAL_FILE
from nas.searching.time_budget import MOST_IDLE
from nas.statistics.noise import beside_winner, faster_finalist, fastest_of_the_best, may_equal
from search_spaces.shell import quoted


def conclude(
    result: SearchResult,
    console: Console,
    *,
    took_s: float,
    resumed: bool = False,
    scored_before: bool = False,
    verbose: bool = False,
) -> None:
    """Print the finalists, the noise of their figures, the files, and the next command.

    Args:
        result: The search's result.
        console: Console to print to.
        took_s: Seconds since the command started.
        resumed: Whether the run was resumed.
        scored_before: Whether the run had a result before, and so had scored the test images.
        verbose: Whether to describe how the networks were found.
    """
    console.print(_finalists(result))
    px = result.px
    if result.verdict is not None:
        for sentence in result.verdict.sentences():
            console.print(sentence)
    names = [latency.device for latency in result.winner.latencies]
    targets = on_each([f"{three_digits(ms)} ms" for ms in result.targets_ms], names)
    if not result.within_target:
        console.print(noted(f"No finalist is within {targets}", "; this is the best reward."))
    elif result.winner.kind == RIVAL and result.verdict is None:
        name = name_of(result.winner, result.rivals)
        console.print(noted(f"No finalist is within {targets}", f"; seed.pt is a rival, {name}."))
    taken = [latency for trial in result.trials for latency in trial.latencies]
    if unstable := sum(not latency.stable for latency in taken):
        console.print(
            f"{unstable} of {counted(len(taken), 'latency', 'latencies')} are unstable: other "
            "programs were running, here or on the same host"
        )
    distinct = len({trial.fingerprint for trial in result.trials})
    if duplicates := len(result.trials) - distinct:
        console.print(
            f"{duplicates} of {counted(len(result.trials), 'candidate')} had been tried before: the first "
            "result stands, nothing is trained twice" + _ended_early(result)
        )
    if result.test_accuracy is not None:
        again = " (this run had scored the test images before)" if scored_before else ""
        console.print(f"test {result.metric}: {percent(result.test_accuracy)} at {px} px{again}")
    if result.test_problem is not None:
        console.print(noted("Note:", f" {result.test_problem}"), soft_wrap=True)
    if result.onnx is not None:
        console.print(
            f"best.onnx, {px} px: {over_images(result.onnx.accuracy, result.metric)} the "
            f"{result.onnx.images:,} held-out images in ONNX Runtime"
        )
    if result.noise is not None:
        console.print(result.noise.sentence(result.metric))
        if not result.noise.differ:
            fastest = fastest_of_the_best(result.trials, result.noise)
            close = may_equal(fastest, result.finals, result.winner, result.noise)
            if close and fastest.overall_ms < result.winner.overall_ms:
                console.print(
                    f"Trial {fastest.index} is as accurate, as far as can be told, and faster: "
                    f"{in_short(fastest.latencies)} ({result.sizes.latency_px(fastest.px)} px), "
                    "fastest.yaml.",
                    soft_wrap=True,
                )
        elif (fast := faster_finalist(result.finals, result.winner, result.noise)) is not None:
            at = f"{in_short(fast.latencies)} ({result.sizes.latency_px(fast.px)} px)"
            console.print(beside_winner(fast, at, result.noise))
    run = RunRecord.read(result.folder)
    if (advice := advice_after(run)) is not None:
        console.print(advice)
    if (teacher := run.metadata.teacher) is not None:
        console.print(teacher.sentence("Finalists"), soft_wrap=True)
    if verbose:
        console.print(f"How: {'; '.join(procedure(run))}.")
    console.print(f"{'the rest' if resumed else 'this'} took {duration(took_s)}")
    folder = result.folder.path
    if result.verdict is not None and (folder / "config.yaml").is_file():
        again = command(f"compare {quoted(folder)}")
        console.print(f"{again} trains these networks with five seeds each", soft_wrap=True)
    best = quoted(folder / "best.yaml")
    files = (
        "best.yaml",
        "best.onnx",
        "seed.pt",
        RIVAL_FILE,
        FINALIST_FILE,
        "pareto.csv",
        "report.html",
        "trials.jsonl",
    )
    console.print(
        f"\n{folder}/ has {listed(folder, files)}\nnext: {command(f'show {best}')}",
        soft_wrap=True,
    )


def _ended_early(result: SearchResult) -> str:
    """Say that a search with a time budget ended early as it found no new networks; empty otherwise."""
    budget = RunRecord.read(result.folder).metadata.budget
    first = {trial.fingerprint: trial.batch for trial in reversed(result.trials)}
    if not budget.wall_time_s or result.trials[-1].batch - max(first.values()) < MOST_IDLE:
        return ""
    return f"; the last {MOST_IDLE} batches had no new network, so the search ended before its time"


def _finalists(result: SearchResult) -> Table:
    """Tabulate the finalists and rivals, one row per network and device."""
    finalists = [t for t in result.finals if t.kind in ("final", RIVAL) and t.ok]
    names = short_names([latency.device for latency in result.winner.latencies])
    several = len(names) > 1
    title = "finalists" if result.metric == ACCURACY else f"finalists, by {result.metric}"
    table = Table(title=title, box=SIMPLE, pad_edge=False, collapse_padding=True)
    sizes = result.sizes
    proxy, deployed = f"\n{sizes.proxy_px} px", f"\n{sizes.deployed_px} px"
    if sizes.searched:
        proxy = deployed = ""
    searched = {trial.index: percent(trial.accuracy or 0.0) for trial in result.trials}
    titles = ["trial", *(["px"] if sizes.searched else [])]
    titles += [f"search{proxy}", f"estimate{proxy}", f"final{deployed}"]
    titles += ["device", f"ms{deployed}"] if several else [f"ms{deployed}"]
    titles += ["95% interval"]
    titles += [""] if several else ["params", "MAdds", ""]
    for title in titles:
        justify: Literal["left", "right"] = "left" if title == "device" else "right"
        table.add_column(title, justify=justify, no_wrap=bool(title))
    for trial in sorted(finalists, key=lambda t: -(t.accuracy or 0)):
        winner = ["winner"] if trial.key == result.winner.key else []
        # With several devices there is no room; the report has them.
        figures = [] if several else [f"{trial.params / 1e6:.2f}M", f"{trial.madds / 1e6:.0f}M"]
        known = _known(result, trial, searched)
        for name, latency in zip(names, trial.latencies, strict=True):
            notes = winner + ([] if latency.stable else ["unstable"])
            which = [name] if several else []
            table.add_row(*known, *which, *_cells(latency), *figures, ", ".join(notes))
            winner, known = [], [""] * len(known)  # shown in the first row only
    return table


def _known(result: SearchResult, trial: Trial, searched: dict[int, str]) -> list[str]:
    """Return the cells of a final training that do not depend on the device."""
    px = [str(trial.px)] if result.sizes.searched else []
    longer = percent(trial.accuracy or 0.0)
    if trial.kind == RIVAL:
        return [result.rivals[trial.index].name, *px, "", "", longer]
    estimate = result.estimates.get(trial.index)
    estimated = percent(estimate.accuracy) if estimate else ""
    return [str(trial.index), *px, searched[trial.index], estimated, longer]


def _cells(latency: Latency) -> tuple[str, str]:
    return f"{latency.median_ms:.3f}", "estimate" if latency.estimate else interval(latency)
