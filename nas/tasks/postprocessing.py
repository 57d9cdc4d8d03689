"""What an exported file may compute behind its network."""

from __future__ import annotations

from torch import nn


class Postprocessing(nn.Module):
    """Turns the outputs of a network into results, by operators that exist in ONNX.

    `forward` takes the outputs (N, ...) one by one, and returns one tensor (N, ...) for each of
    `output_names`, which `Task.predictions` and `Task.meter` read like the outputs.
    """

    output_names: tuple[str, ...]
