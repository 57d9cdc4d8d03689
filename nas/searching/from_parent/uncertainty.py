"""How uncertain a metric is on the images that rank trials, as far as the parent shows it."""

from __future__ import annotations

from nas.formatting import figure
from nas.searching.from_parent.training import Heritage
from nas.tasks import task_of

BATCH_SIZE = 32
"""Images evaluated at once."""


def parents_interval(heritage: Heritage) -> str:
    """Say what the parent of trials reaches on the images that rank them, with its 95% interval.

    Args:
        heritage: What trials begin with.
    """
    from nas.training.evaluate import evidence  # these import torch
    from search_spaces.network import build

    parent, data = heritage.parent, heritage.images[max(heritage.images)]
    network = build(parent.spec)
    network.load_state_dict(parent.weights)
    found = evidence(
        network, data.val, mean=data.mean, std=data.std, task=data.task, batch_size=BATCH_SIZE
    )
    low, high = found.interval()
    reached = figure(found.score().accuracy, task_of(data.task).metric.name)
    return (
        f"the parent: {reached} on the {len(found):,} images that rank trials (95% interval "
        f"{100 * low:.1f} to {100 * high:.1f})"
    )
