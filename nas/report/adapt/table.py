"""The NetAdapt report's tables: the proposals of each step, and the final trainings."""

from __future__ import annotations

from dataclasses import dataclass

from latency import Latency
from nas.adapting.family import Planned
from nas.adapting.kinds import TRAINED, kind_of
from nas.adapting.results.comparison import accuracies
from nas.adapting.results.record import AdaptRecord, StepRecord
from nas.engine.final_scores import name_of
from nas.engine.trial import Trial
from nas.formatting import counted, marked_interval, metric_title, percent, three_digits
from nas.statistics.confidence_intervals import mean_in_words
from search_spaces import count


@dataclass(frozen=True)
class StepTable:
    """The table of one step.

    Attributes:
        summary: Outcome in one line.
        rows: For each proposal, best score first: its cells, whether it was chosen, whether it failed.
    """

    summary: str
    rows: list[tuple[list[str], bool, bool]]


def step_titles(run: AdaptRecord) -> tuple[str, ...]:
    """Return the titles of a step's table."""
    return (
        "Proposal",
        metric_title(run.metric),
        "Latency, ms",
        "95% interval",
        "Score",
        "Standing",
    )


def step_tables(run: AdaptRecord) -> list[StepTable]:
    """Return one table per step."""
    by_ratio = run.settings.metric == "ratio"
    return [StepTable(_summary(step), _rows(step, by_ratio=by_ratio)) for step in run.steps]


def _summary(step: StepRecord) -> str:
    ended = sum(trial is not None for _, trial in step.entries)
    if step.chosen is None:
        have = "has" if len(step.entries) == 1 else "have"
        of = f"of {counted(len(step.entries), 'proposal')}"
        return f"Step {step.number}: {ended} {of} {have} finished"
    planned, trial = step.entries[step.chosen]
    assert trial is not None
    return (
        f"Step {step.number}: {planned.name}, {percent(trial.accuracy or 0.0)} at "
        f"{three_digits(trial.latency_ms)} ms, the best of {counted(len(step.entries), 'proposal')}"
    )


def _rows(step: StepRecord, *, by_ratio: bool) -> list[tuple[list[str], bool, bool]]:
    places = range(len(step.entries))
    ranked = sorted(places, key=lambda place: (_rank(step.entries[place][1]), place))
    rows = []
    for standing, place in enumerate(ranked, start=1):
        planned, trial = step.entries[place]
        failed = trial is not None and trial.accuracy is None
        chosen = place == step.chosen
        score = "" if trial is None or failed else _score(trial.reward, by_ratio=by_ratio)
        rows.append((_cells(planned, trial, score, standing, chosen=chosen), chosen, failed))
    return rows


def _rank(trial: Trial | None) -> tuple[int, float]:
    """Sort by score, then untrained proposals, then failed ones."""
    if trial is None:
        return 1, 0.0
    return (2, 0.0) if trial.accuracy is None else (0, -trial.reward)


def _score(reward: float, *, by_ratio: bool) -> str:
    """Format a score: accuracy in percent, or percentage points per millisecond."""
    return f"{100 * reward:.3g}" if by_ratio else percent(reward)


def _cells(
    planned: Planned, trial: Trial | None, score: str, standing: int, *, chosen: bool
) -> list[str]:
    accuracy, stands = "", "not trained yet"
    if trial is not None and trial.accuracy is None:
        stands = f"failed: {trial.error}"
    elif trial is not None:
        accuracy = percent(trial.accuracy or 0.0)
        stands = "chosen" if chosen else f"rank {standing}"
    return [planned.name, accuracy, *_latency_cells(planned.latency), score, stands]


def _latency_cells(latency: Latency | None) -> list[str]:
    if latency is None:
        return ["", ""]
    return [three_digits(latency.median_ms), marked_interval(latency)]


FINAL_TITLES = (
    "Network", "Training", "Held out", "Test", "Each seed", "Latency, ms", "95% interval", "Params, M",
    "MAdds, M",
)  # fmt: skip


def final_rows(run: AdaptRecord) -> list[list[str]]:
    """Return a row for each network and kind of final training."""
    networks = [("adapted", "", run.adapted, run.adapted_latency)]
    networks += [
        (
            f"{name}: {run.baselines[name].about}",
            name,
            run.baselines[name].spec,
            run.baselines[name].latency,
        )
        for name in run.baseline_names
        if name in run.baselines
    ]
    rows = []
    for training, words in TRAINED.items():
        for label, baseline, spec, latency in networks:
            kind = kind_of(training, baseline)
            found = accuracies(run.finals, kind)
            if not found:
                continue
            names = [name_of(trial) for trial in run.finals if trial.kind == kind]
            tested = [run.tested[name] for name in names if name in run.tested]
            cost = count(spec)
            rows.append(
                [
                    label,
                    words,
                    mean_in_words(found),
                    mean_in_words(tested) if tested else "",
                    ", ".join(f"{100 * value:.1f}" for value in tested),
                    *_latency_cells(latency),
                    three_digits(cost.params / 1e6),
                    three_digits(cost.madds / 1e6),
                ]
            )
    return rows
