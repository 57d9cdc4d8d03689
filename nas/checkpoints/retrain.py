"""Train one network outside of a search: from scratch, or on from the weights of a seed."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch

from nas.checkpoints.checkpoint import Checkpoint, Usage
from nas.checkpoints.class_file import ClassFile
from nas.checkpoints.class_map import class_map
from nas.checkpoints.class_names import Tell, listed
from nas.checkpoints.scoring import relabelled
from nas.data.images import Dataset
from nas.training.evaluate import Score, evaluate
from nas.training.recipe import Recipe
from nas.training.train import Progress, TrainResult, train
from search_spaces import ArchSpec, InputError
from search_spaces.network import Network, build

_log = logging.getLogger(__name__)

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

    seed: Checkpoint
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
    start: Checkpoint,
    data: Dataset,
    recipe: Recipe,
    *,
    seed: int = 0,
    device: str = "cpu",
    on_progress: Callable[[Progress], None] | None = None,
) -> Retrained:
    """Train on from a seed's weights, on images normalised as the seed's were.

    Classes that are matched by looser spelling, or in order, are logged at level INFO.

    Raises:
        InputError: The data's classes are not the seed's, or fewer images than a batch.
        Diverged: The loss became NaN or infinite.
    """
    start, data = for_classes(start, data, tell=_log.info)
    data = replace(data, mean=start.usage.mean, std=start.usage.std)
    spec = replace(start.spec, resolution=data.resolution_px)
    network = Checkpoint(spec, start.weights, start.usage).network()
    usage = replace(start.usage, trained_px=data.resolution_px)
    fit = partial(train, seed=seed, device=device, from_scratch=False, on_progress=on_progress)
    done = _trained(network, usage, data, recipe, fit, device)
    return replace(done, seed=replace(done.seed, device=start.device))


def for_classes(
    seed: Checkpoint,
    data: Dataset,
    *,
    classes: ClassFile | None = None,
    tell: Tell = lambda _: None,
) -> tuple[Checkpoint, Dataset]:
    """A seed and images to train it on, with each class of the one being a class of the other.

    Classes are matched by name. Those of a seed whose classes have no names take the data's names, in
    its order.

    Args:
        seed: A trained network.
        data: Images of its classes.
        classes: What `--classes` says about the network's classes.
        tell: Is told how classes were matched, where their names are not equal.

    Returns:
        The seed with names for its classes, and the data with the network's labels.

    Raises:
        InputError: The data's classes are others.
    """
    known = seed.usage.classes
    if len(known) != len(data.classes):
        raise InputError(
            f"the data has {len(data.classes)} classes, the network's head {len(known)}: give it a new "
            "classifier, by nas train --new-classifier"
        )
    found = class_map(data.classes, seed.usage, classes)
    if found.matches.unknown:
        raise InputError(
            f"the data's class {found.matches.unknown[0]!r} is not what the network was trained on: give "
            "it a new classifier by nas train --new-classifier"
        )
    places = found.places()
    if len(set(places)) != len(places):
        twice = next(place for place in places if places.count(place) > 1)
        same = [name for name, place in zip(data.classes, places, strict=True) if place == twice]
        raise InputError(
            f"the folders {listed(map(repr, same))} are one class of the network: to train, give each of "
            "them a class of its own, or a new classifier by nas train --new-classifier"
        )
    named = replace(seed, usage=replace(seed.usage, classes=found.names, named=True))
    return named, relabelled(data, seed.usage, classes=classes, tell=tell)


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
    return Retrained(Checkpoint(network.spec, network.state_dict(), usage), result, test)
