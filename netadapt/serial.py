"""Run NetAdapt in one process, fine-tuning one proposal after another."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from torch import Tensor

from netadapt.channel_selection import ChannelSelection, Weights
from netadapt.shrink import Shrink, State
from netadapt.transfer import transfer
from search_spaces.spec import ArchSpec

Tune = Callable[[ArchSpec, dict[str, Tensor]], tuple[float, Weights]]
"""Fine-tunes a network from transferred weights; returns its accuracy (0..1) and weights."""


def shrink(
    loop: Shrink, weights: Weights, tune: Tune, *, selection: ChannelSelection = "first"
) -> Iterator[tuple[State, Weights]]:
    """Run the loop; yield the network of every step with its weights.

    Args:
        loop: A new loop.
        weights: The seed's state dict.
        tune: Fine-tunes a proposal.
        selection: Which of the parent's channels a proposal inherits.
    """
    while not loop.done:
        step, parent = loop.next_step(), loop.current.spec
        tuned = [
            tune(p.spec, transfer(parent, weights, p.spec, selection=selection))
            for p in step.proposals
        ]
        pairs = [(proposal.spec, proposal.latency_ms) for proposal in step.proposals]
        best = loop.choose(pairs, [accuracy for accuracy, _ in tuned])
        if best is None:
            return
        weights = tuned[best][1]
        yield loop.current, weights
