"""`report.html`: a run on one page, self-contained, for a reader who wants to check it."""

from __future__ import annotations

import json
from collections import Counter
from importlib import resources
from pathlib import Path
from typing import Any

from nas.charts import (
    Run,
    accuracy_over_latency,
    choices_by_block,
    choices_over_time,
    frequencies,
    reward_over_trials,
)
from nas.noise import fastest_of_the_best, measure_noise
from nas.results import choose_winner, read_result
from nas.runs import RunFolder, write_whole
from nas.trial import Trial
from search_spaces import InputError


def write_report(folder: RunFolder) -> Path:
    """Write the report of a run, finished or not, from what its folder holds.

    Raises:
        InputError: The folder has no run.json.
    """
    path = folder / "report.html"
    write_whole(path, render(folder))
    return path


def render(folder: RunFolder) -> str:
    """The report as HTML; everything that it needs is inside."""
    from jinja2 import Environment
    from plotly.offline import get_plotlyjs

    facts = _facts(folder)
    trials, finals = folder.trials().trials, folder.finals().trials
    template = (resources.files("nas") / "report_template.html").read_text("utf-8")
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    device = facts["device"]
    run = Run(
        trials=trials,
        finals=finals,
        labels=facts["labels"],
        target_ms=facts["target_ms"],
        device_note=" (estimate)" if device["estimate"] else "",
        noise=measure_noise(trials, finals),
    )
    policy, policy_is_own = _policy(folder, run)
    figures = {"scatter": accuracy_over_latency(run), "rewards": reward_over_trials(run)}
    if policy:
        figures["policy"] = choices_over_time(run.labels, policy)
    return environment.from_string(template).render(
        name=folder.path.resolve().name,
        facts=facts,
        headline=_headline(folder, run),
        verdict=_verdict(run),
        failures=Counter(t.error for t in [*trials, *finals] if t.error).most_common(),
        unstable=sum(t.latency is not None and not t.latency.stable for t in trials),
        policy_is_own=policy_is_own,
        rows=[_row(t, run) for t in sorted(trials, key=lambda t: (-t.reward, t.index))],
        finals=[_row(t, run) for t in finals],
        plotly=get_plotlyjs(),
        figures=script_json(figures),
    )


def script_json(data: Any) -> str:
    r"""JSON that can stand inside a <script> element, whatever strings it holds.

    >>> script_json("</script>")
    '"\\\\u003c/script\\\\u003e"'
    """
    text = json.dumps(data, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _facts(folder: RunFolder) -> dict[str, Any]:
    try:
        facts: dict[str, Any] = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{folder.path} has no readable run.json: give the folder of a search that has begun"
        ) from error
    return facts


def _policy(folder: RunFolder, run: Run) -> tuple[list[list[list[float]]], bool]:
    """Rows for the policy's chart, and whether they are the policy's own probabilities."""
    path = folder / "policy.jsonl"
    if path.is_file():
        lines = path.read_text(encoding="utf-8").splitlines()
        return [json.loads(line)["probabilities"] for line in lines if line.endswith("}")], True
    return frequencies(run.trials, run.labels), False


def _headline(folder: RunFolder, run: Run) -> list[str]:
    """The result in sentences."""
    winner = choose_winner(run.finals, target_ms=run.target_ms)
    result = read_result(folder)
    if winner is None or winner.latency is None or result is None:
        return [f"Not finished: {len(run.trials)} trials so far."]
    low, high = winner.latency.ci95_ms
    interval = "" if winner.latency.estimate else f" (95% interval {low:.3g} to {high:.3g} ms)"
    kind = "estimated" if winner.latency.estimate else "measured"
    sentences = [
        f"Trial {winner.index} wins: {100 * (winner.accuracy or 0):.1f}% on held-out images after the "
        f"longer training, {winner.latency_ms:.3g} ms {kind}{interval}, target {run.target_ms:.3g} ms."
    ]
    if winner.latency_ms > run.target_ms:
        sentences.append("No finalist is within the target: this one has the best reward.")
    if result["test_accuracy"] is not None:
        sentences.append(
            f"On the test images, looked at once, it scores {100 * result['test_accuracy']:.1f}%."
        )
    return sentences


def _verdict(run: Run) -> list[str]:
    """What the noise says."""
    if run.noise is None:
        return ["How much of the difference between networks is noise was not measured."]
    fast = fastest_of_the_best(run.trials, run.noise)
    return [
        run.noise.sentence(),
        f"The fastest network that the noise cannot tell from the best is trial {fast.index}: "
        f"{100 * (fast.accuracy or 0):.1f}% at {fast.latency_ms:.3g} ms.",
    ]


def _row(trial: Trial, run: Run) -> dict[str, Any]:
    """A line of a table."""
    interval = ""
    if trial.latency is not None and not trial.latency.estimate:
        interval = "{:.3g} - {:.3g}".format(*trial.latency.ci95_ms)
    return {
        "trial": trial,
        "accuracy": "" if trial.accuracy is None else f"{100 * trial.accuracy:.1f}",
        "latency": f"{trial.latency_ms:.3g}" if trial.latency else "",
        "interval": interval,
        "blocks": choices_by_block(trial.tokens, run.labels),
    }
