"""`report.html`: a run on one page, self-contained, for a reader who wants to check it."""

from __future__ import annotations

import math
from collections import Counter
from importlib import resources
from pathlib import Path
from typing import Any

from latency import Latency
from nas.noise import fastest_of_the_best
from nas.policy_chart import SCALE, frequencies, policy_by_block
from nas.readable import choices_by_block, interval, percent, reading, three_digits
from nas.reward_chart import reward_over_trials
from nas.run_record import RunRecord, usable
from nas.runs import RunFolder, write_whole
from nas.tradeoff_chart import accuracy_over_latency
from nas.trial import Trial


def write_report(folder: RunFolder) -> Path:
    """Write the report of a run, finished or not, from what its folder holds.

    Raises:
        InputError: The folder has no run.json, or a file in it is damaged.
    """
    path = folder / "report.html"
    write_whole(path, render(folder))
    return path


def render(folder: RunFolder) -> str:
    """The report as HTML; everything that it needs is inside."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup
    from plotly.offline import get_plotlyjs

    run = RunRecord.read(folder)
    blocks = policy_by_block(run.probabilities or frequencies(run.trials, run.labels), run.labels)
    policy = {f"policy-{i}": (name, figure) for i, (name, figure) in enumerate(blocks.items())}
    figures = {"scatter": accuracy_over_latency(run), "rewards": reward_over_trials(run)}
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = (resources.files("nas") / "report_template.html").read_text("utf-8")
    return environment.from_string(template).render(
        run=run,
        headline=headline(run),
        verdict=verdict(run),
        facts=facts(run),
        failures=Counter(t.error or "no finite figures" for t in run.failed).most_common(),
        finals_failed=Counter(t.error for t in run.finals if t.error).most_common(),
        rows=[table_row(run, trial) for trial in _by_reward(run)],
        scale=[color for _, color in SCALE],
        policy={id_: name for id_, (name, _) in policy.items()},
        figures=figures | {id_: figure for id_, (_, figure) in policy.items()},
        plotly_js=Markup(get_plotlyjs()),  # noqa: S704  plotly's own code, as it is
    )


def headline(run: RunRecord) -> list[str]:
    """The result in sentences, or how far the run has come."""
    if run.result is None:
        return _progress(run)
    result, latency = run.result, Latency.from_dict(run.result["latency"])
    sentences = [
        f"Trial {result['trial']} wins: {percent(result['accuracy'])} on held-out images after the "
        f"longer training, at {reading(latency)}, on {latency.device}."
    ]
    if result["test_accuracy"] is not None:
        sentences.append(f"On the test images, looked at once: {percent(result['test_accuracy'])}.")
    target = f"the target of {three_digits(run.target_ms)} ms"
    if latency.median_ms > run.target_ms:
        sentences.append(f"It is not within {target}: no finalist is, and it has the best reward.")
    elif latency.ci95_ms[1] > run.target_ms:
        sentences.append(f"It is within {target}, but the interval reaches beyond it.")
    else:
        sentences.append(f"It is within {target}.")
    if not latency.stable:
        sentences.append(
            "The latency reading is unstable: its runs differed too much. Measure the network again, "
            "with nothing else running, before you rely on it."
        )
    return sentences


def _progress(run: RunRecord) -> list[str]:
    budget, done = run.facts["budget"], len(run.trials)
    if not done:
        return [f"Not finished: none of the {budget['trials']} trials has ended yet."]
    finals = len(run.finals)
    sentences = [
        f"Not finished: {done} of {budget['trials']} trials are there, and {finals} of the "
        f"{budget['finalists'] + budget['repeats']} trainings after them."
    ]
    if not run.good:
        return [
            *sentences,
            f"{'All' if done > 1 else 'It'} failed; there is nothing to choose from.",
        ]
    best = max(run.good, key=lambda trial: (trial.reward, -trial.index))
    sentences.append(
        f"The best reward so far has trial {best.index}: {percent(best.accuracy or 0.0)} on held-out "
        f"images after the short training, at {_reading(best)}, target {three_digits(run.target_ms)} ms."
    )
    return sentences


def verdict(run: RunRecord) -> list[str]:
    """What the noise says of the choice."""
    if run.noise is None:
        return ["Nothing was trained twice yet: how much accuracies differ by chance is not known."]
    fast = fastest_of_the_best(run.good, run.noise)
    over = fast.latency_ms > run.target_ms
    sentences = [
        run.noise.sentence(),
        f"The fastest network that chance cannot tell from the most accurate one is trial {fast.index}: "
        f"{percent(fast.accuracy or 0.0)} after the short training, at {_reading(fast)}"
        f"{', over the target' if over else ''}.",
    ]
    if not run.noise.differ and run.result is not None:
        sentences += _advice(run, fast, run.result)
    if (pairs := run.noise.pairs) < 10:
        # The standard error of a standard deviation from n independent squares is 1 / sqrt(2 n) of it.
        rough = round(100 / math.sqrt(2 * pairs))
        sentences.append(f"With so few pairs the noise itself is known to about ±{rough}% only.")
    return sentences


def _advice(run: RunRecord, fast: Trial, result: dict[str, Any]) -> list[str]:
    """Which network to take where accuracy does not tell them apart."""
    if fast.fingerprint == result["fingerprint"]:
        return ["It is the winner as well."]
    if fast.latency_ms > run.target_ms and result["within_target"]:
        return []
    return [f"Take it in place of the winner, trial {result['trial']}."]


def _reading(trial: Trial) -> str:
    assert trial.latency is not None
    return reading(trial.latency)


def facts(run: RunRecord) -> list[tuple[str, str]]:
    """What was searched, on what, for what: name and text."""
    device, data, budget = (run.facts[part] for part in ("device", "data", "budget"))
    size = math.prod(len(choices) for _, choices in run.labels)
    unstable = sum(not trial.latency.stable for trial in run.trials if trial.latency)
    lines = [
        ("Device", device["name"]),
        ("Latencies", "estimates, not measurements" if run.estimated else "measured at batch 1"),
        ("Target", f"{three_digits(run.target_ms)} ms"),
        ("Space", f"{run.facts['space']}: {len(run.labels)} decisions, {size:.1e} combinations"),
        (
            "Data",
            f"{data['name']}: {data['classes']} classes; {data['train']:,} images to train on, "
            f"{data['val']:,} held out, {data['test']:,} to test, at {data['px']} px",
        ),
        (
            "Budget",
            f"{budget['trials']} trials in batches of {budget['batch_size']}, "
            f"{budget['finalists']} finalists trained longer, {budget['repeats']} networks trained "
            f"again with another seed; seed {budget['seed']}",
        ),
        ("Trials", f"{len(run.trials)} ended, {len(run.failed)} of them failed"),
    ]
    if unstable:
        lines.append(("Unstable", f"{unstable} of the latency readings: runs differed too much"))
    return lines


def _by_reward(run: RunRecord) -> list[Trial]:
    return sorted(run.trials, key=lambda trial: (not usable(trial), -trial.reward, trial.index))


def table_row(run: RunRecord, trial: Trial) -> dict[str, Any]:
    """A line of the table: text, and in `by` what its columns sort by."""
    latency, accuracy = trial.latency, trial.accuracy
    longer = _accuracies(run, "final").get(trial.index)
    again = _accuracies(run, "repeat").get(trial.index)
    winner = run.result is not None and run.result["trial"] == trial.index
    return {
        "trial": trial,
        "failed": not usable(trial),
        "mark": "winner" if winner else "front" if trial in run.front else "",
        "cells": [
            (trial.index, str(trial.index)),
            (accuracy, percent(accuracy) if accuracy is not None else ""),
            (longer, percent(longer) if longer is not None else ""),
            (latency and latency.median_ms, three_digits(latency.median_ms) if latency else ""),
            (latency and latency.ci95_ms[1], _spread(latency)),
            (
                trial.reward if usable(trial) else None,
                f"{trial.reward:.3f}" if usable(trial) else "",
            ),
            (trial.params, three_digits(trial.params / 1e6)),
            (trial.madds, three_digits(trial.madds / 1e6)),
        ],
        "again": percent(again) if again is not None else "",
        "blocks": choices_by_block(trial.tokens, run.labels),
    }


def _accuracies(run: RunRecord, kind: str) -> dict[int, float | None]:
    return {trial.index: trial.accuracy for trial in run.again(kind)}


def _spread(latency: Latency | None) -> str:
    if latency is None:
        return ""
    return ("estimate" if latency.estimate else interval(latency)) + (
        "" if latency.stable else " unstable"
    )
