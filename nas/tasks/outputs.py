"""What networks return: one tensor, or one for each kind of output."""

from __future__ import annotations

from torch import Tensor, nn

from search_spaces import ArchSpec
from search_spaces.network import Outputs as Outputs


def as_floats(outputs: Outputs) -> Outputs:
    """Convert outputs in half precision to float32."""
    if isinstance(outputs, Tensor):
        return outputs.float()
    return tuple(output.float() for output in outputs)


def spec_of(module: nn.Module) -> ArchSpec | None:
    """Return the spec of a network, which says how to read its outputs; None for modules of others."""
    spec: ArchSpec | None = getattr(module, "spec", None)
    return spec
