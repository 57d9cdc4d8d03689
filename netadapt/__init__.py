"""Layer-wise refinement of a network to a target latency: NetAdapt, as MobileNetV3 has it.

Start with `groups` (which widths there are to narrow; `channels` says what shares one), then `narrowing`
(a network with one of them narrower), `proposals` (for each group the widest that saves enough latency)
and `schedule` (how much is enough). `uniform` is the baseline: all widths narrowed alike. `weights` cuts
a proposal's weights out of its parent's; it is not exported here, so that `import netadapt` never loads
torch.

NetAdapt: arXiv 1804.03230, algorithm 1. MobileNetV3's variant: arXiv 1905.02244, section 4.2.
"""

from netadapt.groups import Group, width_groups
from netadapt.narrowing import narrowed
from netadapt.proposals import Discarded, Proposal, Widths, propose, propose_all, remembered
from netadapt.schedule import Schedule, Step, first_step
from netadapt.uniform import Uniform, scaled, widest_uniform

__all__ = [
    "Discarded",
    "Group",
    "Proposal",
    "Schedule",
    "Step",
    "Uniform",
    "Widths",
    "first_step",
    "narrowed",
    "propose",
    "propose_all",
    "remembered",
    "scaled",
    "widest_uniform",
    "width_groups",
]
