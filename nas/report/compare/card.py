"""The model card of a comparison's first network: what it is for, what it does, and how it was made."""

from __future__ import annotations

from collections.abc import Sequence

from nas.checkpoints.usage import Usage
from nas.comparing.comparison import Comparison, Row, verdict
from nas.comparing.tables import mean_cell
from nas.formatting import counted, percent, three_digits
from nas.tasks import task_of_spec
from search_spaces import count

KINDS = {"classify": "classifier", "detect": "detector", "segment": "segmentation network"}

SHOWN_CLASSES = 30


def card(
    comparison: Comparison,
    usage: Usage,
    *,
    seed: int,
    file: str,
    details: Sequence[tuple[str, str]],
) -> str:
    """Return the card as Markdown.

    Args:
        comparison: The comparison; the card is of its first network.
        usage: How the network is used.
        seed: Random seed of the training in the file.
        file: Name of its checkpoint, next to the card.
        details: Name and text of what repeating the training needs.
    """
    row = comparison.rows[0]
    sections = [
        f"# {row.name}\n\n{_summary(row, usage)}",
        f"## Figures\n\n{_figures(comparison, row, seed=seed, file=file)}",
        f"## Compared\n\n{verdict(comparison)}",
        f"## Input\n\n{_input(row, usage, file=file)}",
        f"## Training\n\n{_listed(details)}",
        f"## Limits\n\n{_limits(comparison)}",
    ]
    return "\n\n".join(sections) + "\n"


def _summary(row: Row, usage: Usage) -> str:
    kind = KINDS.get(task_of_spec(row.spec), "network")
    shown = ", ".join(usage.classes[:SHOWN_CLASSES])
    more = len(usage.classes) - SHOWN_CLASSES
    rest = f" and {counted(more, 'more class', 'more classes')}" if more > 0 else ""
    return f"A {kind} of {len(usage.classes)} classes: {shown}{rest}."


def _figures(comparison: Comparison, row: Row, *, seed: int, file: str) -> str:
    cost = count(row.spec)
    own, low, high = (
        row.evidence[seed].score().accuracy,
        *row.evidence[seed].interval(),
    )
    lines = [
        f"- `{file}`, seed {seed}: {percent(own)} {comparison.metric} on {comparison.images:,} test images "
        f"(95% interval {percent(low)} to {percent(high)})",
        f"- mean of {counted(len(row.evidence), 'training')}: {mean_cell(row.percent)}",
        *(
            f"- {three_digits(read.ms)} ms (95% interval {three_digits(read.ci95_ms[0])} to "
            f"{three_digits(read.ci95_ms[1])}) on {device}, batch 1"
            for device, read in zip(comparison.devices, row.latencies, strict=True)
        ),
        f"- {three_digits(cost.params / 1e6)}M parameters, {three_digits(cost.madds / 1e6)}M multiply-adds",
    ]
    return "\n".join(lines)


def _input(row: Row, usage: Usage, *, file: str) -> str:
    mean, std = (
        ", ".join(f"{value:.3f}" for value in triple) for triple in (usage.mean, usage.std)
    )
    side = row.spec.resolution
    return (
        f"RGB, {side} x {side} pixels. Pixels in 0..1 are normalized by the mean ({mean}) and the "
        f"deviation ({std}). `nas export {file}` writes the network for other programs, with a description "
        "of its input."
    )


def _listed(details: Sequence[tuple[str, str]]) -> str:
    return "\n".join(f"- {name}: {text}" for name, text in details)


def _limits(comparison: Comparison) -> str:
    return (
        f"The figures hold for images like the {comparison.images:,} test images, and for these devices. "
        "Classes that are rare in the training images may do worse than the mean: `nas evaluate` lists "
        "each of them."
    )
