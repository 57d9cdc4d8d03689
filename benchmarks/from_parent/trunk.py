"""One set of weights for all sub-networks of a parent: a supernet that begins from pretrained weights.

Each step trains the parent on the labels, and the smallest sub-network and random ones on what the parent
answers (the sandwich rule and in-place distillation of BigNAS, arXiv 2003.11142). Channels are those of the
parent's order of importance, so that sub-networks are nested. Afterwards any of them can be read without
training, once batch norm's statistics are taken anew.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from controllers import make_controller
from nas.data.images import Dataset, require_batch
from nas.formatting import duration
from nas.randomness import LAYERS, derived_seed
from nas.searching.from_parent.parent import Parent
from nas.searching.from_parent.training import Heritage
from nas.searching.planning.forecast import extreme
from nas.tasks.augmentation.augment import normalize
from nas.training.isolation import seed_layers
from nas.training.machine.allocator import keep_freed_memory
from nas.training.objective import Objective
from nas.training.optimization.schedule import rate_factor
from nas.training.recipe import Recipe
from search_spaces import ArchSpec, ElasticSpace, InputError
from search_spaces.network import Network

RANDOM_NETWORKS = 2
"""Random sub-networks a step, beside the parent and the smallest one."""

SAID_EVERY = 50
"""Steps between two lines of progress."""


class Trunk:
    """The weights of a parent as one vector, of which each sub-network is a part.

    Args:
        parent: Its weights are where the training begins.
    """

    def __init__(self, parent: Parent) -> None:
        self._parent = parent
        self._sizes = {name: tensor.numel() for name, tensor in parent.weights.items()}
        flat = torch.cat([tensor.float().flatten() for tensor in parent.weights.values()])
        self.vector = nn.Parameter(flat)
        decays = [torch.full((t.numel(),), float(t.ndim > 1)) for t in parent.weights.values()]
        self.decays = torch.cat(decays)
        """1 where weight decay applies, (weights,): to the weights of convolutions and linear layers."""
        self.places = lru_cache(maxsize=256)(self._places)

    def _places(self, spec: ArchSpec) -> dict[str, Tensor]:
        """Return where in the vector each tensor of a sub-network is, shaped as the tensor."""
        numbers = torch.split(torch.arange(self.vector.numel()), list(self._sizes.values()))
        shaped = {
            name: part.reshape(tensor.shape)
            for part, (name, tensor) in zip(numbers, self._parent.weights.items(), strict=True)
        }
        # What a sub-network inherits of these numbers are the places of what it inherits of the weights.
        return Parent(self._parent.spec, shaped, self._parent.order).state_dict(spec)

    def state(self, spec: ArchSpec) -> dict[str, Tensor]:
        """Return a sub-network's parameters, through which gradients reach the vector."""
        network = _skeleton(spec)
        places = {name: self.places(spec)[name] for name, _ in network.named_parameters()}
        taken = self.vector[torch.cat([place.flatten() for place in places.values()])]
        parts = torch.split(taken, [place.numel() for place in places.values()])
        return {
            name: part.reshape(place.shape)
            for part, (name, place) in zip(parts, places.items(), strict=True)
        }

    def logits(self, spec: ArchSpec, inputs: Tensor) -> Tensor:
        """Return a sub-network's logits in training mode, (N, classes).

        Args:
            spec: The sub-network.
            inputs: Normalized images (N, 3, px, px), of any size.
        """
        network, px = _skeleton(spec), spec.resolution
        if inputs.shape[-1] != px:
            inputs = functional.interpolate(
                inputs, size=(px, px), mode="bilinear", antialias=True, align_corners=False
            )
        buffers = {name: _new(name, buffer) for name, buffer in network.named_buffers()}
        answer: Tensor = functional_call(network.train(), self.state(spec) | buffers, (inputs,))
        return answer

    def weights(self) -> dict[str, Tensor]:
        """Return the parent's state dict as it is now; batch norm's statistics are the old ones."""
        parts = torch.split(self.vector.detach(), list(self._sizes.values()))
        return {
            name: part.reshape(tensor.shape).to(tensor.dtype).clone()
            for part, (name, tensor) in zip(parts, self._parent.weights.items(), strict=True)
        }


def trained_trunk(
    begins: Heritage, space: ElasticSpace, recipe: Recipe, *, steps: int, seed: int
) -> Parent:
    """Train a trunk; return the parent with its weights.

    Args:
        begins: The parent to begin with, and the images.
        space: Its sub-networks.
        recipe: Batch size, rate, schedule, augmentation and weight decay.
        steps: Number of steps; each trains four networks.
        seed: Random seed.

    Raises:
        InputError: There are fewer images than a batch, or the space has larger kernels than the parent.
    """
    keep_freed_memory()
    data = begins.images[space.parent.resolution]
    require_batch(data, recipe.batch_size)
    if space.grows:
        raise InputError(
            "a trunk has no weights for kernels larger than the parent's: search a space without them"
        )
    trunk = Trunk(begins.parent)
    optimizer = torch.optim.SGD([trunk.vector], lr=recipe.peak_rate, momentum=0.9, nesterov=True)
    networks = _random_networks(space, seed=seed)
    smallest = space.decode(extreme(space, largest=False))
    began_s = time.monotonic()
    for step, (pixels, labels) in enumerate(_batches(data, recipe, steps=steps, seed=seed)):
        taught = (smallest, *(next(networks) for _ in range(RANDOM_NETWORKS)))
        seed_layers(derived_seed(seed, LAYERS, step), pixels.device)
        optimizer.zero_grad(set_to_none=True)
        answer = trunk.logits(space.parent, pixels)
        loss = functional.cross_entropy(answer, labels, label_smoothing=recipe.label_smoothing)
        parts = 1 + len(taught)
        (loss / parts).backward()  # type: ignore[no-untyped-call]
        wanted = answer.detach().softmax(dim=1)
        for spec in taught:
            own = functional.cross_entropy(trunk.logits(spec, pixels), wanted)
            (own / parts).backward()  # type: ignore[no-untyped-call]
        assert trunk.vector.grad is not None
        trunk.vector.grad += recipe.weight_decay * trunk.decays * trunk.vector.detach()
        for group in optimizer.param_groups:
            factor = rate_factor(recipe, step, total=steps, epoch_steps=steps)
            group["lr"] = recipe.peak_rate * factor
        optimizer.step()
        if (step + 1) % SAID_EVERY == 0:
            left_s = (time.monotonic() - began_s) / (step + 1) * (steps - step - 1)
            print(
                f"trunk: step {step + 1} of {steps}, loss {loss.item():.3f}, "
                f"about {duration(left_s)} left",
                flush=True,
            )
    return Parent(begins.parent.spec, trunk.weights(), begins.parent.order)


def _batches(
    data: Dataset, recipe: Recipe, *, steps: int, seed: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield augmented, normalized images and their labels, a batch for each step."""
    objective = Objective(data, recipe, seed, torch.device("cpu"))
    step = 0
    while True:
        order = torch.Generator().manual_seed(seed + step)
        for images, labels in data.train.batches(
            recipe.batch_size, generator=order, drop_last=True
        ):
            if step == steps:
                return
            pixels, targets = objective.prepared(images, labels, step=step, px=data.resolution_px)
            yield normalize(pixels, mean=data.mean, std=data.std), targets
            step += 1


def _random_networks(space: ElasticSpace, *, seed: int) -> Iterator[ArchSpec]:
    controller = make_controller("uniform", space.arities, seed=seed)
    while True:
        yield from map(space.decode, controller.ask(64))


@lru_cache(maxsize=256)
def _skeleton(spec: ArchSpec) -> Network:
    """Return a network without weights."""
    with torch.device("meta"):
        return Network(spec)


def _new(name: str, buffer: Tensor) -> Tensor:
    """Return the statistics of a new batch norm."""
    made = torch.ones if name.endswith("running_var") else torch.zeros
    return made(buffer.shape, dtype=buffer.dtype)
