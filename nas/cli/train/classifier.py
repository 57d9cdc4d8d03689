"""Check the options of `nas train` for a trained network's classifier."""

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
    """Check that the options fit the network and each other.

    Raises:
        InputError: The network has no classifier to keep or replace, or two options exclude each other.
    """
    if classes is not None and new_classifier:
        raise InputError(
            f"--classes {classes} applies to the classifier that --new-classifier replaces: leave one out"
        )
    if start is not None or not (new_classifier or classes is not None):
        return
    option = "--new-classifier" if new_classifier else f"--classes {classes}"
    if from_scratch:
        raise InputError(
            f"--from-scratch initialises all weights, including the classifier: leave {option} out"
        )
    open_spec(spec)  # report an unknown name first
    mend = (
        f"import trained weights with nas import --arch {spec} --weights FILE, and train the result"
        if Path(spec).suffix not in (".yaml", ".yml")
        else "give the seed.pt from its training"
    )
    raise InputError(
        f"{option}: {spec} has no weights, so no classifier to keep or replace: {mend}, or leave {option} "
        "out to train from scratch"
    )
