"""The text of a search's report: the result, whether noise explains it, the settings."""

from __future__ import annotations

import math

from latency import Latency
from nas.engine.job import RIVAL, RIVALS
from nas.engine.trial import Trial
from nas.formatting import (
    ACCURACY,
    counted,
    duration,
    figure,
    on_each,
    percent,
    readings,
    split_sizes,
    three_digits,
)
from nas.report.search.procedure import procedure
from nas.searching.plan import Budget
from nas.searching.planning.evidence import advice_after
from nas.searching.results.record import DeviceRecord, RunRecord
from nas.searching.results.stored_result import StoredResult
from nas.searching.sizes import Sizes
from nas.statistics.advice import LEAST_PAIRS
from nas.statistics.noise import beside_winner, faster_finalist, fastest_of_the_best
from nas.tasks import task_of


def headline(run: RunRecord) -> list[str]:
    """State the result, or the progress of an unfinished run."""
    if run.result is None:
        return _progress(run)
    result = run.result
    latencies = result.latencies
    at = readings(latencies)
    if len(latencies) == 1:
        at += f", on {latencies[0].device}"
    px = result.px or run.sizes.deployed_px
    sentences = [] if result.verdict is None else result.verdict.sentences()
    sentences.append(
        f"{_capitalized(_winner(run, result))} wins: {figure(result.accuracy, run.metric)} on held-out "
        f"images of {px} px, at {at}."
    )
    if result.onnx is not None:
        sentences.append(
            "Exported as best.onnx and run by ONNX Runtime, it has "
            f"{figure(result.onnx.accuracy, run.metric)} on the same {result.onnx.images:,} images."
        )
    if result.test_problem is not None:
        sentences.append(f"It has {result.test_problem}.")
    if result.test_accuracy is not None:
        looks = result.test_looks
        again = f", evaluated {looks} times" if looks > 1 else ""
        sentences.append(f"Test {run.metric}: {percent(result.test_accuracy)} at {px} px{again}.")
    if (teacher := run.metadata.teacher) is not None:
        sentences.append(teacher.sentence("Finalists"))
    standings = list(zip(run.devices, latencies, strict=True))
    sentences += [_standing(device, latency, run) for device, latency in standings]
    if len(standings) > 1 and not result.within_target:
        sentences.append(
            "No finalist is within all targets, so the one with the best reward was chosen."
        )
    return sentences + [
        f"The latency reading{_on(device, run)} is unstable: its runs differed too much. Measure the "
        "network again, with nothing else running, before you rely on it."
        for device, latency in standings
        if not latency.stable
    ]


def _winner(run: RunRecord, result: StoredResult) -> str:
    """Name the winner."""
    if result.kind == RIVAL:
        return f"the rival “{run.rivals[result.trial].name}”"
    return f"trial {result.trial}"


def _capitalized(text: str) -> str:
    return text[:1].upper() + text[1:]


def _standing(device: DeviceRecord, latency: Latency, run: RunRecord) -> str:
    """Say whether the winner meets the target on a device."""
    target = f"the target of {three_digits(device.target_ms)} ms{_on(device, run)}"
    if latency.median_ms <= device.target_ms:
        reaches = latency.ci95_ms[1] > device.target_ms
        return f"It is within {target}{', but its interval extends beyond it' if reaches else ''}."
    if len(run.devices) > 1:
        return f"It is not within {target}."
    return f"It is not within {target}: no finalist is, so the one with the best reward was chosen."


def _planned(budget: Budget) -> str:
    """Return the search's budget."""
    if budget.wall_time_s:
        return f"trials that fit {duration(budget.wall_time_s)}"
    return f"{budget.trials} trials"


def _on(device: DeviceRecord, run: RunRecord) -> str:
    """Return which device is meant, if there are several."""
    return f" on {device.short}" if len(run.devices) > 1 else ""


def _progress(run: RunRecord) -> list[str]:
    budget, done = run.metadata.budget, len(run.candidates)
    if not done:
        return [f"Not finished: none of the {_planned(budget)} has ended yet."]
    finals = sum(trial.kind not in RIVALS for trial in run.finals)
    further = run.metadata.parent.curve if run.metadata.parent is not None else 0
    sentences = [
        f"Not finished: {done} of the {_planned(budget)} have ended, and {finals} of the "
        f"{budget.finalists + further + budget.repeats} final trainings."
    ]
    if not run.good and len(run.failed) < done:
        return [*sentences, "No trial has trained at full length yet."]
    if not run.good:
        return [
            *sentences,
            f"{'All' if done > 1 else 'It'} failed, so there is no result.",
        ]
    best = max(run.good, key=lambda trial: (trial.reward, -trial.index))
    sentences.append(
        f"Trial {best.index} has the best reward so far: {figure(best.accuracy or 0.0, run.metric)} on "
        f"held-out images of {best.px or run.sizes.proxy_px} px after the short training, at "
        f"{readings(best.latencies)} ({run.sizes.latency_px(best.px)} px), target {_targets(run)}."
    )
    return sentences


def verdict(run: RunRecord) -> list[str]:
    """Say whether the differences between networks exceed the noise."""
    if run.noise is None:
        noise = "noise of accuracies" if run.metric == ACCURACY else f"noise of {run.metric}"
        unknown = f"No network was trained twice yet, so the {noise} is unknown."
        return [unknown, *filter(None, [advice_after(run)])]
    fast = fastest_of_the_best(run.good, run.noise)
    several = len(run.devices) > 1
    targets, together = (
        ("a target", ", on all devices together,") if several else ("the target", "")
    )
    over = "" if fast.within(run.targets_ms) else f", over {targets}"
    sentences = [
        run.noise.sentence(run.metric),
        f"The fastest network{together} whose {run.metric} is within the noise of the best is trial "
        f"{fast.index}: {figure(fast.accuracy or 0.0, run.metric)} after the short training at "
        f"{fast.px or run.sizes.proxy_px} px, {readings(fast.latencies)} at "
        f"{run.sizes.latency_px(fast.px)} px{over}.",
    ]
    if not run.noise.differ and run.result is not None:
        sentences += _advice(run, fast, run.result)
    elif run.result is not None:
        finals = run.again("final")
        winner = next(t for t in [*finals, *run.again(RIVAL)] if run.result.is_of(t))
        if (faster := faster_finalist(finals, winner, run.noise)) is not None:
            sentences.append(beside_winner(faster, readings(faster.latencies), run.noise))
    sentences += filter(None, [advice_after(run)])
    if LEAST_PAIRS <= (pairs := run.noise.pairs) < 10:
        # The standard error of a standard deviation from n independent squares is 1 / sqrt(2 n) of it.
        rough = round(100 / math.sqrt(2 * pairs))
        sentences.append(f"With so few pairs the noise itself is only known to about ±{rough}%.")
    return sentences


def _advice(run: RunRecord, fast: Trial, result: StoredResult) -> list[str]:
    """Recommend a network if accuracy does not separate them."""
    if fast.fingerprint == result.fingerprint:
        return ["It is also the winner."]
    if result.within_target and not fast.within(run.targets_ms):
        return []
    return [f"Prefer it to the winner, {_winner(run, result)}."]


def details(run: RunRecord) -> list[tuple[str, str]]:
    """Return names and values of the space, the data and the budget."""
    data, budget = run.metadata.data, run.metadata.budget
    size = math.prod(len(choices) for _, choices in run.labels)
    taken = [latency for trial in run.candidates for latency in trial.latencies]
    unstable = sum(not latency.stable for latency in taken)
    lines = [
        *(line for device in run.devices for line in _device(device)),
        ("Space", f"{run.metadata.space}: {len(run.labels)} decisions, {size:.1e} combinations"),
        (
            "Data",
            f"{data.name}: {data.classes} classes; {split_sizes(data.train, data.val, data.test)}",
        ),
        *_metric_lines(run),
        ("Image size", _size(run.sizes)),
        (
            "Budget",
            f"{_planned(budget)} in batches of {budget.batch_size}, "
            f"{counted(budget.finalists, 'finalist')}{_further(run)} trained longer, "
            f"{counted(budget.repeats, 'network')} trained again with another seed; "
            f"seed {budget.seed}",
        ),
        ("Procedure", "; ".join(procedure(run))),
        ("Trials", f"{len(run.candidates)} ended, {len(run.failed)} of them failed"),
    ]
    if run.rungs:
        lines.append(("Compared", f"the {len(run.trials)} trials that trained at full length"))
    if unstable:
        lines.append(("Unstable", f"{unstable} latency readings: repeated runs differed too much"))
    return lines


def _metric_lines(run: RunRecord) -> list[tuple[str, str]]:
    """Say what figures of boxes and masks are, and what their latency leaves out."""
    if run.metadata.data.task is None:
        return []
    metric = task_of(run.metadata.data.task).metric
    return [
        ("Metric", f"{metric.name}: {metric.full}"),
        ("Latency of", "the whole network with its head, without post-processing of its outputs"),
    ]


def _further(run: RunRecord) -> str:
    """Return how many finalists of other latencies there are."""
    parent = run.metadata.parent
    return (
        f" and {parent.curve} at further latencies" if parent is not None and parent.curve else ""
    )


def _size(sizes: Sizes) -> str:
    if sizes.searched:
        return "each network its own, in training, measurements and files"
    if not sizes.differ:
        return f"{sizes.deployed_px} px in trials, final training, measurements and files"
    return (
        f"trials {sizes.proxy_px} px; final training ends at {sizes.deployed_px} px, the size of "
        "latencies, test accuracy and files"
    )


def _device(device: DeviceRecord) -> list[tuple[str, str]]:
    return [
        ("Device", device.name),
        ("Latencies", "estimates, not measurements" if device.estimate else "measured at batch 1"),
        ("Target", f"{three_digits(device.target_ms)} ms"),
    ]


def _targets(run: RunRecord) -> str:
    texts = [f"{three_digits(device.target_ms)} ms" for device in run.devices]
    return on_each(texts, [device.name for device in run.devices])
