"""How much each channel of a network matters, by which narrower networks keep channels.

A channel's importance is the expected square of what the loss changes, to first order, if the channel's
batch norm is set to zero (Molchanov et al. 2019, eq. 8, on gates):

    I = E[ (gamma dL/dgamma + beta dL/dbeta)^2 ]

summed over all batch norms of its space: those of the layers that a residual ties, and a depthwise
convolution's beside its expansion's. Channels of layers without batch norm, such as those of a
squeeze-and-excite, are ordered by the L2 norm of their filters.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from nas.atomic_files import write_whole
from nas.checkpoints.torch_files import read_torch
from nas.tasks import task_of
from nas.training.inputs import training_inputs
from nas.training.recipe import Recipe
from netadapt import channel_selection
from search_spaces.channels import tensor_spaces
from search_spaces.network import build

if TYPE_CHECKING:
    from nas.checkpoints.checkpoint import Checkpoint
    from nas.data.images import Dataset
    from netadapt.channel_selection import ChannelOrder

IMAGES = 384
BATCH_SIZE = 16

PLAIN = Recipe(label_smoothing=0.0)
"""Of the loss whose changes are estimated."""


def channel_order(parent: Checkpoint, data: Dataset) -> ChannelOrder:
    """Return the indices of each channel space, the most important one first.

    Args:
        parent: A network trained on the data's classes.
        data: Its images, labelled and normalized for it; the first batches of a fixed shuffle are used.
    """
    by_norm = channel_selection.channel_order(parent.spec, parent.weights)
    by_loss = {
        space: torch.argsort(value, descending=True, stable=True)
        for space, value in taylor_importance(parent, data).items()
    }
    return {**by_norm, **by_loss}


def recorded_order(path: Path, parent: Checkpoint, data: Dataset) -> ChannelOrder:
    """Return the order in a file, or compute it now and save it there; see `channel_order`."""
    if path.is_file():
        return dict(read_torch(path, wanted="an intact copy"))
    order = channel_order(parent, data)
    content = io.BytesIO()
    torch.save(dict(order), content)
    write_whole(path, content.getvalue())
    return order


def taylor_importance(parent: Checkpoint, data: Dataset) -> dict[str, Tensor]:
    """Return the importance I of each channel, (channels,), of every space with batch norm."""
    network = build(parent.spec)
    network.load_state_dict(parent.weights)
    network.eval().to(memory_format=torch.channels_last)
    parameters = dict(network.named_parameters())
    norms = {
        name.removesuffix(".weight"): spaces[0]
        for name, spaces in tensor_spaces(parent.spec).items()
        if len(spaces) == 1 and name.endswith(".1.weight")
    }
    importance = {
        space: torch.zeros_like(parameters[f"{norm}.weight"]) for norm, space in norms.items()
    }
    task = task_of(data.task)
    for inputs, targets in training_inputs(data, images=IMAGES, batch_size=BATCH_SIZE):
        network.zero_grad()
        loss = task.loss(network(inputs), targets, PLAIN, spec=parent.spec)
        loss.backward()  # type: ignore[no-untyped-call]
        for norm, space in norms.items():
            change = sum(_change(parameters[f"{norm}.{part}"]) for part in ("weight", "bias"))
            importance[space] += torch.as_tensor(change) ** 2
    return importance


def _change(parameter: Tensor) -> Tensor:
    """Return the first-order change of the loss if a parameter is set to zero, with its sign reversed."""
    assert parameter.grad is not None
    return (parameter * parameter.grad).detach()
