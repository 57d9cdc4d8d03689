"""Options of `nas train` that are about a trained network's last layer."""

from __future__ import annotations

from pathlib import Path

from nas.cli.specs import open_spec
from search_spaces import InputError


def require_classifier(
    spec: str,
    start: str | None,
    *,
    from_scratch: bool,
    new_classifier: bool,
    classes: Path | None,
) -> None:
    """Check options that are about a trained network's classifier.

    Raises:
        InputError: There is none, or two of them contradict each other.
    """
    if classes is not None and new_classifier:
        raise InputError(
            f"--classes {classes} is about the classifier that --new-classifier replaces: leave one out"
        )
    if start is not None or not (new_classifier or classes is not None):
        return
    option = "--new-classifier" if new_classifier else f"--classes {classes}"
    if from_scratch:
        raise InputError(
            f"--from-scratch draws all weights anew, for the data's classes: leave {option} out"
        )
    open_spec(spec)  # a name that stands for nothing is the first thing to say
    mend = (
        f"make a seed of trained weights by nas import --arch {spec} --weights FILE, and train that"
        if Path(spec).suffix not in (".yaml", ".yml")
        else "give the seed.pt of its training"
    )
    raise InputError(
        f"{option}: {spec} has no weights, so no classifier to keep or replace: {mend}, or leave the "
        "option out to train from scratch"
    )
