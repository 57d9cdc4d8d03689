"""What networks return: one tensor, or one for each kind of output."""

from __future__ import annotations

from torch import Tensor, nn

from search_spaces import ArchSpec, HeadSpec

Outputs = Tensor | tuple[Tensor, ...]
"""Each (N, ...): a classifier's logits (N, classes), or for example scores and boxes of a detector."""


def as_floats(outputs: Outputs) -> Outputs:
    """Convert outputs in half precision to float32."""
    if isinstance(outputs, Tensor):
        return outputs.float()
    return tuple(output.float() for output in outputs)


def head_of(module: nn.Module) -> HeadSpec | None:
    """Return the head of a network, which says how to read its outputs; None for modules of others."""
    spec: ArchSpec | None = getattr(module, "spec", None)
    return None if spec is None else spec.head
