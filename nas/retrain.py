"""Train one network outside of a search: from scratch, or on from the weights of a seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch

from nas.pretrained import placeholder_classes
from nas.seeds import Seed, Usage
from nas.training.evaluate import Score, evaluate
from nas.training.images import Dataset
from nas.training.recipe import Recipe
from nas.training.train import Progress, TrainResult, train
from search_spaces import ArchSpec, InputError
from search_spaces.network import Network, build

FINE_TUNING_RATE = 1e-3
"""Peak learning rate for inherited weights, a quarter of that from scratch."""


@dataclass(frozen=True)
class Retrained:
    """A trained network and how good it is.

    Attributes:
        seed: The network with its weights, deployed at the size of the images that it was trained on.
        result: Of the training; its accuracy is on val.
        test: On the test split.
    """

    seed: Seed
    result: TrainResult
    test: Score


def train_from_scratch(
    spec: ArchSpec,
    data: Dataset,
    recipe: Recipe,
    *,
    seed: int = 0,
    device: str = "cpu",
    on_progress: Callable[[Progress], None] | None = None,
) -> Retrained:
    """Draw a network's weights and train it; the classes and the resolution become the data's.

    Raises:
        InputError: Fewer images than a batch.
        Diverged: The loss became NaN or infinite.
    """
    head = replace(spec.head, classes=len(data.classes))
    spec = replace(spec, head=head, resolution=data.resolution_px)
    network = build(spec, generator=torch.Generator().manual_seed(seed))
    usage = Usage.of(data)
    fit = partial(train, seed=seed, device=device, on_progress=on_progress)
    return _trained(network, usage, data, recipe, fit, device)


def fine_tune(
    start: Seed,
    data: Dataset,
    recipe: Recipe,
    *,
    seed: int = 0,
    device: str = "cpu",
    on_progress: Callable[[Progress], None] | None = None,
) -> Retrained:
    """Train on from a seed's weights, on images normalised as it is used to.

    Raises:
        InputError: The data's classes are not the seed's, or fewer images than a batch.
        Diverged: The loss became NaN or infinite.
    """
    start = for_classes(start, data.classes)
    data = replace(data, mean=start.usage.mean, std=start.usage.std)
    spec = replace(start.spec, resolution=data.resolution_px)
    network = Seed(spec, start.weights, start.usage).network()
    usage = replace(start.usage, trained_px=data.resolution_px)
    fit = partial(train, seed=seed, device=device, from_scratch=False, on_progress=on_progress)
    done = _trained(network, usage, data, recipe, fit, device)
    return replace(done, seed=replace(done.seed, device=start.device))


def for_classes(seed: Seed, classes: tuple[str, ...]) -> Seed:
    """The seed, once its classes are known to be these; unnamed ones take the names.

    Raises:
        InputError: They are others.
    """
    known = seed.usage.classes
    if known == classes:
        return seed
    if known == placeholder_classes(len(classes)):
        return replace(seed, usage=replace(seed.usage, classes=classes))
    if len(known) != len(classes):
        raise InputError(
            f"the data has {len(classes)} classes, the network's head {len(known)}: give it a new "
            "classifier, by nas train --new-classifier"
        )
    other = next(
        name for name in classes if name not in known or known.index(name) != classes.index(name)
    )
    raise InputError(
        f"the data's class {other!r} is not what the network was trained on: give it a new classifier "
        "by nas train --new-classifier"
    )


def _trained(
    network: Network,
    usage: Usage,
    data: Dataset,
    recipe: Recipe,
    fit: Callable[[Network, Dataset, Recipe], TrainResult],
    device: str,
) -> Retrained:
    """Train, keep, and look at the test images."""
    result = fit(network, data, recipe)
    test = evaluate(
        network,
        data.test,
        mean=data.mean,
        std=data.std,
        batch_size=recipe.eval_batch_size,
        device=device,
        autocast=recipe.autocast,
    )
    return Retrained(Seed(network.spec, network.state_dict(), usage), result, test)
