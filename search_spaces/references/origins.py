"""Initialization and batch norm of the published networks, which a spec does not contain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Origin:
    """Batch norm and weight initialization of a network's original code.

    Attributes:
        bn_momentum: Weight of each batch in batch norm's running statistics (torch's convention).
        conv_std: Standard deviation of a convolution's truncated normal weights; None for He's normal
            over the fan-out.
        linear: Distribution of a linear layer's weights, its bias being 0: `normal` with a standard
            deviation of `linear_scale`, or `uniform` within +- `linear_scale` / sqrt(out features).
        linear_scale: See `linear`.
    """

    bn_momentum: float
    conv_std: float | None = None
    linear: Literal["normal", "uniform"] = "normal"
    linear_scale: float = 0.01


TORCH = Origin(bn_momentum=0.1)
"""torch's momentum, for short trainings; the published ones are for hundreds of epochs."""

_SLIM_V1 = Origin(bn_momentum=1 - 0.9997, conv_std=0.09, linear_scale=0.09)
_TORCHVISION_V2 = Origin(bn_momentum=0.1)
_TORCHVISION_V3 = Origin(bn_momentum=0.01)
_TENSORFLOW_MNASNET = Origin(bn_momentum=0.01, linear="uniform", linear_scale=1.0)
# PyTorch's `kaiming_uniform_` with gain 1 is within sqrt(3 / fan out).
_TORCHVISION_MNASNET = Origin(bn_momentum=1 - 0.9997, linear="uniform", linear_scale=3**0.5)

ORIGINS: dict[str, Origin] = {
    "mobilenet_v1": _SLIM_V1,
    "mobilenet_v2": _TORCHVISION_V2,
    "mobilenet_v3_large": _TORCHVISION_V3,
    "mobilenet_v3_small": _TORCHVISION_V3,
    "mobilenet_v3_large_minimalistic": _TORCHVISION_V3,
    "mobilenet_v3_small_minimalistic": _TORCHVISION_V3,
    "mobilenet_v3_large_unimproved": _TORCHVISION_V3,
    "mobilenet_v3_small_unimproved": _TORCHVISION_V3,
    "mnasnet_a1": _TENSORFLOW_MNASNET,
    "mnasnet_b1": _TORCHVISION_MNASNET,
    "mnasnet_small": _TENSORFLOW_MNASNET,
}
"""By the names of `REFERENCES`."""
