"""Apply MobileNetV3's improvements to a network one after another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from search_spaces import ArchSpec, InputError
from search_spaces.improvements import (
    hswish_from,
    quarter_squeeze_excite,
    redesign_last_stage,
    resize_stem,
)

STEM_FILTERS = 16
HSWISH_FROM = 80

Improve = Callable[[ArchSpec], ArchSpec]


@dataclass(frozen=True)
class Step:
    """The network after one improvement.

    Attributes:
        name: The improvement; empty for the original network.
        spec: The network.
        reason: Why the improvement was skipped; empty if it was applied.
    """

    name: str
    spec: ArchSpec
    reason: str = ""


def chosen_improvements(
    *, last_stage: bool, stem: bool, hswish: int | None, squeeze_excite: bool
) -> dict[str, Improve]:
    """Return the selected improvements, in the paper's order.

    Raises:
        InputError: None is selected.
    """

    def smaller_stem(spec: ArchSpec) -> ArchSpec:
        # Never add filters, and add no h-swish if that improvement is off.
        filters = min(STEM_FILTERS, spec.stem.out)
        return resize_stem(spec, filters, act="hswish" if hswish else spec.stem.act)

    improvements: dict[str, Improve | None] = {
        "last stage": redesign_last_stage if last_stage else None,
        "stem": smaller_stem if stem else None,
        f"h-swish from {hswish}": partial(hswish_from, channels=hswish) if hswish else None,
        "squeeze-excite": quarter_squeeze_excite if squeeze_excite else None,
    }
    chosen = {name: improve for name, improve in improvements.items() if improve}
    if not chosen:
        raise InputError("every improvement is switched off: leave one on")
    return chosen


def take_steps(spec: ArchSpec, improvements: dict[str, Improve]) -> list[Step]:
    """Return the network, and its variants after each improvement; skip those that cannot be applied.

    >>> from search_spaces.references import mobilenet_v3_large
    >>> steps = take_steps(mobilenet_v3_large(), {"last stage": redesign_last_stage})
    >>> [(step.name, step.reason) for step in steps]
    [('', ''), ('last stage', 'the last stage already pools before its hidden layer')]
    """
    steps = [Step("", spec)]
    for name, apply in improvements.items():
        before = steps[-1].spec
        try:
            after = apply(before)
            reason = "changes nothing here" if after == before else ""
        except InputError as error:
            after, reason = before, str(error)
        steps.append(Step(name, after, reason))
    return steps
