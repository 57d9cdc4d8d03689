"""NetAdapt: narrow a network layer by layer to a target latency, as MobileNetV3 does.

Read `shrink` first: the loop and its decisions. It uses `narrowing` (the widths and depths that can be
reduced, and a network with one of them changed), `proposals` (for each group of layers the widest network
that saves enough latency), `schedule` (how much is enough) and `widening` (when a step saved too much).
`uniform` is the baseline: one width multiplier for the whole network. `transfer` gives a proposal its
parent's weights, and `serial` runs everything in one process; they are not exported here, so that
`import netadapt` never loads torch.

NetAdapt: arXiv 1804.03230, algorithm 1. MobileNetV3's variant: arXiv 1905.02244, section 4.2.
"""

from netadapt.memoized import memoized
from netadapt.narrowing.depth import depth_groups
from netadapt.narrowing.groups import Group, width_groups
from netadapt.narrowing.narrowed import narrowed, narrowest
from netadapt.narrowing.widths import Widths
from netadapt.proposals import Discarded, Proposal, propose, propose_all
from netadapt.schedule import Schedule, Step, first_step
from netadapt.settings import Settings
from netadapt.uniform import Uniform, scaled, widest_uniform

__all__ = [
    "Discarded",
    "Group",
    "Proposal",
    "Schedule",
    "Settings",
    "Step",
    "Uniform",
    "Widths",
    "depth_groups",
    "first_step",
    "memoized",
    "narrowed",
    "narrowest",
    "propose",
    "propose_all",
    "scaled",
    "widest_uniform",
    "width_groups",
]
