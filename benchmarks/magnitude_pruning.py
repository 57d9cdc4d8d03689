"""Compare a finished NetAdapt run with magnitude pruning and a uniform width multiplier.

Torch-Pruning (github.com/VainF/Torch-Pruning, `pip install torch-pruning`) removes the channels of lowest
L2 norm, relative to their group's mean, globally and in one step. The fraction removed is the smallest
that meets the adapted network's measured latency. The pruned network is then trained as NetAdapt's final
network is: same recipe, seeds and total steps.

    python -m benchmarks.magnitude_pruning runs/NAME --final finetune --final-epochs 5

An interrupted run is resumed, as by `netadapt --resume`; the run's report has the comparison.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import torch
from torch import nn

from nas.adapting.baselines import BaselineRequest, Found
from nas.adapting.forecast import Workload
from nas.checkpoints.checkpoint import Checkpoint
from nas.cli.adapt.opening import reopen
from nas.cli.adapt.summary import conclude
from nas.display.adapt_view import View
from nas.display.output import messages
from nas.run_adapt import adapt
from netadapt.widest import widest_satisfying
from search_spaces import ArchSpec

HUNDREDTHS = 100


class MagnitudePruning:
    """Finds the least pruned network that meets the limit.

    Args:
        divisor: Widths stay multiples of it.
    """

    def __init__(self, divisor: int) -> None:
        self.divisor = divisor

    def __call__(self, request: BaselineRequest) -> Found | None:
        """See `nas.adapting.baselines.FindBaseline`."""
        seed, made = request.seed, dict[int, Checkpoint]()

        def fast_enough(kept: int) -> bool:
            made[kept] = pruned(seed, 1 - kept / HUNDREDTHS, divisor=self.divisor)
            return request.latency(made[kept].spec) <= request.limit_ms

        kept = widest_satisfying(range(10, HUNDREDTHS), fast_enough)
        if kept is None:
            return None
        found = made[kept]
        return Found(found.spec, f"{HUNDREDTHS - kept}% of the channels removed", found.weights)


def pruned(
    seed: Checkpoint,
    ratio: float,
    *,
    divisor: int = 8,
    importance: object = None,
    gradients: Mapping[str, torch.Tensor] = MappingProxyType({}),
) -> Checkpoint:
    """Prune the least important channels from the seed.

    Args:
        seed: Network and weights.
        ratio: Fraction of all channels to remove, 0..1.
        divisor: Widths stay multiples of it.
        importance: Torch-Pruning's measure of importance; the L2 norm by default.
        gradients: Of the weights, by name, for a measure that needs them.
    """
    import torch_pruning

    network = seed.network()
    for name, parameter in network.named_parameters():
        parameter.grad = gradients[name].clone() if name in gradients else None
    norm = torch_pruning.importance.GroupMagnitudeImportance(p=2, normalizer="mean")
    *_, classifier = (module for module in network.modules() if isinstance(module, nn.Linear))
    image = torch.rand(1, 3, seed.spec.resolution, seed.spec.resolution)
    pruner = torch_pruning.pruner.MetaPruner(
        network,
        image,
        importance=norm if importance is None else importance,
        global_pruning=True,
        pruning_ratio=ratio,
        max_pruning_ratio=0.9,
        round_to=divisor,
        ignored_layers=[classifier],
    )
    pruner.step()
    weights = {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}
    return replace(seed, spec=spec_of(seed.spec, weights), weights=weights)


def spec_of(spec: ArchSpec, weights: dict[str, torch.Tensor]) -> ArchSpec:
    """Derive the spec from the widths of the weights, for networks without squeeze-and-excite."""

    def rows(name: str) -> int:
        return len(weights[name])

    blocks = []
    for at, block in enumerate(spec.blocks):
        prefix = f"blocks.{at}.layers."
        last = max(int(name[len(prefix)]) for name in weights if name.startswith(prefix))
        expand = rows(f"{prefix}0.0.weight") if block.expand else block.expand
        blocks.append(replace(block, out=rows(f"{prefix}{last}.0.weight"), expand=expand))
    head = replace(spec.head, conv=rows("head.conv.0.weight") if spec.head.conv else 0)
    stem = replace(spec.stem, out=rows("stem.0.weight"))
    return replace(spec, stem=stem, blocks=tuple(blocks), head=head)


def main() -> None:
    """Resume a run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("run", type=Path, help="folder of a NetAdapt run")
    parser.add_argument("--final", choices=["scratch", "finetune", "both"], default="finetune")
    parser.add_argument("--final-epochs", type=float, default=5.0)
    parser.add_argument("--final-learning-rate", type=float, default=4e-3)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--curve", action="store_true", help="also compare networks on the way")
    given = parser.parse_args()
    changes = {
        "final": given.final,
        "final_epochs": given.final_epochs,
        "final_learning_rate": given.final_learning_rate,
        "compare": "uniform",
        "compare_seeds": given.seeds,
    }
    console = messages()
    looked_at, began_s = (given.run / "result.json").is_file(), time.monotonic()
    job, folder = reopen(given.run, changes, console)
    view = View(console, Workload(job.config, len(job.data.train)), None)
    job.source.progress = view.asked
    result = adapt(
        job.seed,
        data=job.data,
        latency=job.source,
        config=job.config,
        folder=folder.path,
        baselines={"torch-pruning": MagnitudePruning(job.config.divisor)},
        curve=given.curve,
        watcher=view,
    )
    view.rest()
    conclude(
        result,
        console,
        target_ms=job.config.target_ms,
        scored_before=looked_at,
        took_s=time.monotonic() - began_s,
    )


if __name__ == "__main__":
    main()
