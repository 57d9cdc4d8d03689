"""Kinds of training in a NetAdapt run, as its logs name them.

A proposal's fine-tuning is `proposal`. The adapted network's final trainings are `scratch` and `finetune`;
those of a baseline carry its name: `uniform-scratch`, `uniform-finetune`. `uniform-curve` fine-tunes a
baseline as fast as an intermediate network.
"""

from __future__ import annotations

PROPOSAL = "proposal"
SCRATCH = "scratch"
FINETUNE = "finetune"
CURVE = "curve"

TRAININGS = (SCRATCH, FINETUNE)
"""Final trainings."""

OWN_KINDS = (PROPOSAL, *TRAININGS)
"""Kinds of NetAdapt's own trainings, which are not available as names of baselines."""

HOW = {SCRATCH: "from scratch", FINETUNE: "by fine-tuning"}
"""Completes "is trained ..."."""

TRAINED = {SCRATCH: "trained from scratch", FINETUNE: "fine-tuned from the seed's weights"}
"""Qualifies a network or an accuracy."""


def kind_of(training: str, baseline: str = "") -> str:
    """Return the kind of a training of the adapted network, or of a baseline if one is named.

    >>> kind_of("scratch"), kind_of("scratch", "uniform")
    ('scratch', 'uniform-scratch')
    """
    return f"{baseline}-{training}" if baseline else training


def baseline_of(kind: str) -> str:
    """Return the name of the baseline that is trained; empty for NetAdapt's own networks.

    >>> baseline_of("magnitude-pruning-scratch"), baseline_of("scratch")
    ('magnitude-pruning', '')
    """
    return kind.rpartition("-")[0]


def training_of(kind: str) -> str:
    """Return how a network is trained, whichever it is.

    >>> training_of("uniform-finetune"), training_of("finetune")
    ('finetune', 'finetune')
    """
    return kind.rpartition("-")[2]


def is_curve(kind: str) -> bool:
    """Return whether this trains a baseline of an intermediate network: its weights are not kept."""
    return training_of(kind) == CURVE
