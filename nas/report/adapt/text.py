"""The text of a NetAdapt report: the result, the comparison with baselines, the settings, the files."""

from __future__ import annotations

from latency import Latency
from nas.adapting.kinds import TRAINED
from nas.adapting.results.comparison import accuracies
from nas.adapting.results.record import AdaptRecord
from nas.adapting.teacher import sentence
from nas.formatting import counted, metric_title, percent, reading, split_sizes, three_digits
from nas.statistics.confidence_intervals import mean_in_words
from search_spaces.shell import quoted

FILES = {
    "adapted.yaml": "the adapted network, one line per layer",
    "adapted.pt": "its checkpoint, which other commands accept as a seed",
    "adapted.onnx": "the network as ONNX",
    "family": "the network chosen in every step and its weights, step-N.yaml and step-N.pt",
    "family.csv": "their figures; step 0 is the seed",
    "proposals.jsonl": "log of the fine-tuned proposals, one per line",
    "finals.jsonl": "log of the final trainings",
    "rivals": "the baselines",
    "result.json": "the figures of this page",
}
"""Files in a run's folder that are of interest to the user."""

KEPT = {
    "first": "first channels",
    "norm": "channels of largest norm",
    "taylor": "channels that matter most to the loss, to first order,",
}
"""The channels that a narrower layer keeps."""

NO_BASELINE = (
    "Not compared with the baseline {}: it cannot be made as fast as the adapted network here."
)
"""Says that a baseline was not found."""


def headline(run: AdaptRecord) -> list[str]:
    """State the result, or the progress of an unfinished run."""
    steps = len(run.family)
    way = (
        f"{three_digits(run.seed_latency.median_ms)} ms to "
        f"{three_digits(run.adapted_latency.median_ms)} ms in {counted(steps, 'step')}"
    )
    target = f"target {three_digits(run.metadata.target_ms)} ms, at {run.px} px"
    if run.result is None:
        return [f"Not finished: from {way} so far, {target}.", *_trainings(run)]
    sentences = [f"NetAdapt narrowed the seed from {way}, {target}.", *_trainings(run)]
    if not run.result.reached:
        sentences.append("The target was not reached: no layer could be narrowed further.")
    if (test_accuracy := run.result.test_accuracy) is None:
        sentences.append(f"No test {run.metric}: the test images could not be read at the end.")
    else:
        sentences.append(f"Test {run.metric} of adapted.pt: {percent(test_accuracy)}.")
    if (onnx := run.result.onnx) is not None:
        sentences.append(
            f"Exported as adapted.onnx and run by ONNX Runtime, it has {percent(onnx.accuracy)} on the "
            f"{onnx.images:,} held-out images."
        )
    if not run.adapted_latency.stable:
        sentences.append(
            "The adapted network's latency reading is unstable: measure it again with nothing else running."
        )
    return sentences


def _trainings(run: AdaptRecord) -> list[str]:
    """State the held-out accuracies of the adapted network and the seed."""
    parts = []
    for training, words in TRAINED.items():
        if found := accuracies(run.finals, training):
            parts.append(f"{words} {_mean(found)}")
    if not parts and run.family:
        parts = [f"{percent(run.family[-1][1].accuracy or 0.0)} after the last step's fine-tuning"]
    seed = f"{metric_title(run.metric)} on held-out images: the seed has {percent(run.metadata.accuracy)}"
    sentences = [f"{seed}, the adapted network {', '.join(parts)}." if parts else f"{seed}."]
    taught = run.settings.teach_proposals
    if run.metadata.teacher is not None and (run.finals or taught):
        sentences.append(sentence(run.metadata.teacher, proposals=taught))
    return sentences


def _mean(values: tuple[float, ...]) -> str:
    if len(values) == 1:
        return mean_in_words(values)
    return f"{mean_in_words(values)} (mean of {counted(len(values), 'seed')}, 95% interval)"


def verdict(run: AdaptRecord) -> list[str]:
    """Compare the adapted network with its baselines."""
    missing = [NO_BASELINE.format(name) for name in run.missing]
    if not run.comparisons:
        return missing or [
            "Not compared with a uniform width multiplier of the same latency: this report does not show "
            "whether narrowing layer by layer was worth it.",
            f"To compare: {_again(run, compare=True)}",
        ]
    sentences = [*(each.sentence(run.metric) for each in run.comparisons), *missing]
    for name in run.baseline_names:
        if name in run.baselines:
            baseline = run.baselines[name]
            sentences.append(
                f"{name.capitalize()} is the seed's {baseline.about}, {reading(baseline.latency)}; the "
                f"adapted network takes {reading(run.adapted_latency)}."
                if name == "uniform"
                else f"{name}: {baseline.about}, {reading(baseline.latency)}."
            )
    sentences.append(
        "Intervals over seeds are those of the final trainings; NetAdapt itself ran once. Intervals over "
        "images are of the difference on the same test images, the mean over seeds. From scratch, both "
        "networks have the same recipe and random seeds. Fine-tuned, the baseline starts from the seed's "
        "weights and trains for as many steps in total as the adapted network: those of NetAdapt's steps "
        "and those of the final training."
    )
    if run.metadata.teacher is not None:
        sentences.append(
            "Both networks learn from the teacher in all of their steps."
            if run.settings.teach_proposals
            else "The baseline learns from the teacher in all of its steps, the adapted network in those "
            "of the final training."
        )
    return sentences


def details(run: AdaptRecord) -> list[tuple[str, str]]:
    """Return names and values of what was narrowed, for what target and on what data."""
    data, settings = run.metadata.data, run.settings
    readings = measured(run)
    unstable = sum(not latency.stable for latency in readings)
    tried = sum(1 for step in run.steps for _, trial in step.entries if trial)
    steps = settings.recipe.steps or 0
    spent = tried * steps
    lines = [
        ("Device", run.metadata.device.name),
        ("Latencies", _latencies(run)),
        (
            "Seed",
            f"{reading(run.seed_latency)}, {percent(run.metadata.accuracy)} on held-out images",
        ),
        ("Adapted network", reading(run.adapted_latency)),
        (
            "Steps",
            f"each saves at least {settings.delta:g} of the seed's latency, or a half to an eighth of "
            f"that if no layer group can; the proposal of best {_score(run)} is chosen; a "
            f"network more than {settings.tolerance:.0%} below the target is widened again",
        ),
        (
            "Widths",
            f"multiples of {settings.divisor}, at least {settings.floor}; the "
            f"{KEPT[settings.keep or 'first']} are kept"
            f"{'; stem and head may be narrowed too' if settings.ends else ''}"
            f"{'; stages may lose residual blocks' if settings.proposals == 'widths+depth' else ''}",
        ),
        (
            "Data",
            f"{data.name}: {data.classes} classes; "
            f"{split_sizes(data.train, data.val, data.test)}, at {run.px} px",
        ),
        (
            "Proposals",
            f"{counted(tried, 'proposal')} finished"
            + (f", {steps:,} training steps each, {spent:,} in total" if spent else ""),
        ),
    ]
    if unstable:
        lines.append(
            (
                "Unstable",
                f"{unstable} of {counted(len(readings), 'latency reading')}: runs differed too much",
            )
        )
    return lines


def measured(run: AdaptRecord) -> list[Latency]:
    """Return the run's latencies; estimates are left out if some networks are measured."""
    confirmed = [step.confirmed for step in run.steps if step.confirmed is not None]
    return [r for r in (*run.latencies, *confirmed) if not (run.by_pieces and r.estimate)]


def _latencies(run: AdaptRecord) -> str:
    if run.estimate:
        return "estimates, not measurements"
    if run.by_pieces:
        return (
            "seed and chosen networks measured at batch 1; other proposals estimated as sums of measured "
            "layers"
        )
    return "measured at batch 1"


def _score(run: AdaptRecord) -> str:
    name = run.metric
    return name if run.settings.metric == "accuracy" else f"ratio of {name} change to latency saved"


def files(run: AdaptRecord) -> list[tuple[str, str]]:
    """Return the entries of `FILES` that exist."""
    return [(name, about) for name, about in FILES.items() if (run.path / name).exists()]


def _again(run: AdaptRecord, *, compare: bool = False) -> str:
    """Say how to resume the run; one started from Python has no settings that a command could read."""
    if (run.path / "config.yaml").is_file():
        return f"netadapt --resume {quoted(run.path)}{' --compare uniform' if compare else ''}"
    with_baseline = " and config.compare set to uniform" if compare else ""
    return f"call nas.run_adapt.adapt again with this folder{with_baseline}"


def next_commands(run: AdaptRecord) -> list[str]:
    """Return the commands to type next."""
    if run.result is None:
        return [_again(run)]
    return [
        f"nas show {quoted(run.path / 'adapted.yaml')}",
        f"nas export {quoted(run.path / 'adapted.pt')} --int8 --data DIR",
    ]
