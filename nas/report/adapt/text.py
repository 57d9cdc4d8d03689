"""What a NetAdapt report says in words: the result, the comparison, what was narrowed, the files."""

from __future__ import annotations

from latency import Latency
from nas.adapting.comparison import accuracies
from nas.adapting.kinds import TRAINED
from nas.adapting.record import AdaptRecord
from nas.formatting import counted, percent, reading, three_digits
from nas.statistics.confidence_intervals import mean_in_words
from search_spaces.shell import quoted

FILES = {
    "adapted.yaml": "the last network, one line a layer",
    "adapted.pt": "the same with its weights: a seed for further commands",
    "adapted.onnx": "the same as ONNX",
    "family": "the network of every step with its weights, step-N.yaml and step-N.pt",
    "family.csv": "their accuracy, latency and size; step 0 is the seed",
    "proposals.jsonl": "the log: a line a fine-tuned proposal",
    "finals.jsonl": "the log of the last trainings",
    "rivals": "the networks compared with",
    "result.json": "the figures of this page",
}
"""What a run's folder has for its reader, and what it is."""


NO_BASELINE = "Not compared with {}: none of its networks is as fast here."
"""Where one was sought and not found."""


def headline(run: AdaptRecord) -> list[str]:
    """The result in sentences, or how far the run has come."""
    steps = len(run.family)
    way = (
        f"{three_digits(run.seed_latency.median_ms)} ms to "
        f"{three_digits(run.adapted_latency.median_ms)} ms in {counted(steps, 'step')}"
    )
    target = f"target {three_digits(run.metadata['target_ms'])} ms, at {run.px} px"
    if run.result is None:
        return [f"Not finished: from {way} so far, {target}.", *_trainings(run)]
    sentences = [f"NetAdapt took the seed from {way}, {target}.", *_trainings(run)]
    if not run.result["reached"]:
        sentences.append("The target was not reached: no group could give more.")
    if (test_accuracy := run.result["test_accuracy"]) is None:
        sentences.append("The test images could not be read when the run ended.")
    else:
        sentences.append(f"Test accuracy with the weights of adapted.pt: {percent(test_accuracy)}.")
    if (onnx := run.result.get("onnx")) is not None:
        sentences.append(
            f"Its file adapted.onnx has {percent(onnx['accuracy'])} on the {onnx['images']:,} held-out "
            "images in ONNX Runtime."
        )
    if not run.adapted_latency.stable:
        sentences.append(
            "The last network's latency is an unstable reading: measure it with nothing else running."
        )
    return sentences


def _trainings(run: AdaptRecord) -> list[str]:
    """The last network's accuracies beside the seed's."""
    parts = []
    for training, words in TRAINED.items():
        if found := accuracies(run.finals, training):
            parts.append(f"{words} {_mean(found)}")
    if not parts and run.family:
        parts = [f"after the last step's fine-tuning {percent(run.family[-1][1].accuracy or 0.0)}"]
    seed = f"The seed has {percent(run.metadata['accuracy'])} on held-out images"
    return [f"{seed}, the last network {', '.join(parts)}." if parts else f"{seed}."]


def _mean(values: tuple[float, ...]) -> str:
    if len(values) == 1:
        return mean_in_words(values)
    return f"{mean_in_words(values)} (mean of {counted(len(values), 'seed')}, 95% interval)"


def verdict(run: AdaptRecord) -> list[str]:
    """How the last network stands to those that it was set beside."""
    missing = [NO_BASELINE.format(name) for name in run.missing]
    if not run.comparisons:
        return missing or [
            "Not compared with a uniform width multiplier of the same latency, so nothing here says that "
            "narrowing layer by layer was worth its while.",
            f"To find out: {_again(run, compare=True)}",
        ]
    sentences = [*(comparison.sentence() for comparison in run.comparisons), *missing]
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
        "The intervals are over seeds of the last trainings; NetAdapt itself ran once. From scratch "
        "both have the same recipe and seeds. Trained on, the other network begins with the seed's "
        "weights and trains for as many steps as NetAdapt spent on the way to its last network, and "
        "then as that one."
    )
    return sentences


def details(run: AdaptRecord) -> list[tuple[str, str]]:
    """What was narrowed, on what, for what: name and text."""
    data, settings = run.metadata["data"], run.metadata["settings"]
    readings = measured(run)
    unstable = sum(not latency.stable for latency in readings)
    tried = sum(1 for step in run.steps for _, trial in step.entries if trial)
    recipe, spent = settings["recipe"], tried * (settings["recipe"]["steps"] or 0)
    lines = [
        ("Device", run.metadata["device"]["name"]),
        ("Latencies", _latencies(run)),
        (
            "Seed",
            f"{reading(run.seed_latency)}, {percent(run.metadata['accuracy'])} on held-out images",
        ),
        ("Last network", reading(run.adapted_latency)),
        (
            "Steps",
            f"each saves at least {settings['delta']:g} of the seed's latency, or a half to an eighth of "
            f"that where no group can; the best by {_metric(settings['metric'])} goes on; a network more "
            f"than {settings['tolerance']:.0%} below the target is given back width",
        ),
        (
            "Widths",
            f"multiples of {settings['divisor']}, from {settings['floor']} on; the "
            f"{'first channels' if settings['keep'] == 'first' else 'channels of largest norm'} stay"
            f"{'; stem and head too' if settings['ends'] else ''}",
        ),
        (
            "Data",
            f"{data['name']}: {data['classes']} classes; {data['train']:,} images to train on, "
            f"{data['val']:,} held out, {data['test']:,} to test, at {run.px} px",
        ),
        (
            "Proposals",
            f"{counted(tried, 'proposal')} ended"
            + (f", {recipe['steps']:,} training steps each, {spent:,} in all" if spent else ""),
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
    """The readings that the run's folder keeps; not the sums of pieces where some are measured."""
    confirmed = [step.confirmed for step in run.steps if step.confirmed is not None]
    return [r for r in (*run.latencies, *confirmed) if not (run.by_pieces and r.estimate)]


def _latencies(run: AdaptRecord) -> str:
    if run.estimate:
        return "estimates, not measurements"
    if run.by_pieces:
        return (
            "measured at batch 1 of the seed and of each network that went on; of other proposals sums of "
            "measured pieces, estimates"
        )
    return "measured at batch 1"


def _metric(metric: str) -> str:
    return "accuracy" if metric == "accuracy" else "change of accuracy over latency saved"


def files(run: AdaptRecord) -> list[tuple[str, str]]:
    """Those of `FILES` that are there."""
    return [(name, about) for name, about in FILES.items() if (run.path / name).exists()]


def _again(run: AdaptRecord, *, compare: bool = False) -> str:
    """How to go on with the run; what Python has begun has no settings that a command could read."""
    if (run.path / "config.yaml").is_file():
        return f"netadapt --resume {quoted(run.path)}{' --compare uniform' if compare else ''}"
    with_baseline = ", its config.compare set to uniform" if compare else ""
    return f"call nas.run_adapt.adapt again with this folder{with_baseline}"


def next_commands(run: AdaptRecord) -> list[str]:
    """What to type after this page."""
    if run.result is None:
        return [_again(run)]
    return [
        f"nas show {quoted(run.path / 'adapted.yaml')}",
        f"nas export {quoted(run.path / 'adapted.pt')} --int8 --data DIR",
    ]
