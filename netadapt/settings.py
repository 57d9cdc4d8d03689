"""The settings of a NetAdapt run."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal, get_args

from netadapt.narrowing.depth import depth_groups
from netadapt.narrowing.groups import Group, width_groups
from netadapt.narrowing.widths import Widths
from search_spaces.errors import InputError
from search_spaces.spec import ArchSpec

Metric = Literal["ratio", "accuracy"]
"""How the best proposal is chosen: MobileNetV3's dACC / |dLAT|, or NetAdapt's highest accuracy."""

Proposals = Literal["widths", "widths+depth"]
"""What a step may reduce: MobileNetV3's two kinds of width, or the depth of a stage as well."""

TOLERANCE = 0.02
"""Fraction of the target by which the final network may stay below it."""


@dataclass(frozen=True)
class Settings:
    """Where NetAdapt stops and how it gets there.

    Attributes:
        target_ms: Target latency.
        delta: Fraction of the seed's latency that each step saves at least; see `Schedule`.
        decay: See `Schedule`.
        widths: The allowed widths.
        metric: How the best proposal is chosen.
        include_stem_and_head: Narrow stem and head too, beyond the paper's two kinds of group.
        proposals: Whether a step may also drop the last residual blocks of a stage.
        tolerance: Fraction of the target by which the final network may stay below it; further below, a
            group is widened again. 1 disables widening.

    Raises:
        InputError: The target is not a positive number, the tolerance is outside 0..1, or the metric or
            the kind of proposals is unknown.
    """

    target_ms: float
    delta: float = 0.1
    decay: float = 1.0
    widths: Widths = field(default_factory=Widths)
    metric: Metric = "ratio"
    include_stem_and_head: bool = False
    proposals: Proposals = "widths"
    tolerance: float = TOLERANCE

    def __post_init__(self) -> None:
        if not (math.isfinite(self.target_ms) and self.target_ms > 0):
            raise InputError(
                f"target_ms must be above 0, got {self.target_ms:g}: give milliseconds"
            )
        if self.metric not in get_args(Metric):
            raise InputError(f"metric must be {' or '.join(get_args(Metric))}, got {self.metric!r}")
        if self.proposals not in get_args(Proposals):
            raise InputError(
                f"proposals must be {' or '.join(get_args(Proposals))}, got {self.proposals!r}: give "
                "widths+depth for shorter stages too"
            )
        if not 0 < self.tolerance <= 1:
            raise InputError(
                f"tolerance must be above 0 and at most 1, got {self.tolerance:g}: "
                "give for instance 0.02"
            )

    def groups(self, spec: ArchSpec) -> list[Group]:
        """List what a step may reduce in a network."""
        groups = width_groups(spec, include_stem_and_head=self.include_stem_and_head)
        return groups + (depth_groups(spec) if self.proposals == "widths+depth" else [])
