"""The rival of a pruning library: Torch-Pruning's Taylor pruning of the parent to the same target.

Torch-Pruning (github.com/VainF/Torch-Pruning) removes the least important channels of the whole network in
one step. A channel's importance is |weight * gradient|, summed over all weights that go with it
(`GroupTaylorImportance`). The gradient is that of the loss on the training images that also order the
parent's channels in a search (`nas.checkpoints.importance`).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.from_parent.opened import Opened
from benchmarks.magnitude_pruning import HUNDREDTHS, pruned
from nas.atomic_files import write_whole
from nas.checkpoints.checkpoint import Checkpoint, checkpoint_bytes
from nas.checkpoints.importance import BATCH_SIZE, IMAGES
from nas.data.images import Dataset
from nas.tasks import CLASSIFY, task_of_spec
from nas.training.inputs import training_inputs
from netadapt.widest import widest_satisfying
from search_spaces import InputError


def prune_to_target(opened: Opened, px: int, path: Path) -> None:
    """Write the least pruned network that meets the run's targets, with its weights.

    Args:
        opened: The run.
        px: Side of the network's input.
        path: The checkpoint; not made again if it is there.

    Raises:
        InputError: Torch-Pruning is not installed, the parent is no classifier or has squeeze-and-excite,
            or not even a tenth of the channels meets the target.
    """
    if path.is_file():
        return
    try:
        from torch_pruning.pruner.importance import GroupTaylorImportance
    except ImportError as error:
        raise InputError(
            "Torch-Pruning is not installed: pip install torch-pruning, or leave --torch-pruning out"
        ) from error
    parent = opened.parent
    if task_of_spec(parent.spec) != CLASSIFY:
        raise InputError("--torch-pruning applies to classifiers only: leave it out")
    if any(block.se for block in parent.spec.blocks):
        raise InputError("--torch-pruning does not apply to a parent with squeeze-and-excite")
    seed = replace(
        parent,
        spec=replace(parent.spec, resolution=px),
        usage=replace(parent.usage, trained_px=px),
    )
    gradients = gradients_of(seed, opened.images.deployed[px])
    made: dict[int, Checkpoint] = {}

    def fast_enough(kept: int) -> bool:
        made[kept] = pruned(
            seed, 1 - kept / HUNDREDTHS, importance=GroupTaylorImportance(), gradients=gradients
        )
        over = opened.overrun(made[kept].spec)
        print(f"Torch-Pruning at {px} px, {kept}% kept: {over:.3f} of the target", flush=True)
        return over <= 1

    kept = widest_satisfying(range(10, HUNDREDTHS), fast_enough)
    if kept is None:
        raise InputError(
            f"Torch-Pruning: not even a tenth of the channels meets the target at {px} px"
        )
    write_whole(path, checkpoint_bytes(made[kept]))


def gradients_of(parent: Checkpoint, data: Dataset) -> dict[str, Tensor]:
    """Return the gradient of the loss on some training images, by the names of the weights."""
    network = parent.network().to(memory_format=torch.channels_last)
    for inputs, labels in training_inputs(data, images=IMAGES, batch_size=BATCH_SIZE):
        functional.cross_entropy(network(inputs), labels).backward()  # type: ignore[no-untyped-call]
    return {
        name: parameter.grad
        for name, parameter in network.named_parameters()
        if parameter.grad is not None
    }
