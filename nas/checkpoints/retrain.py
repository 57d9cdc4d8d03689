"""Train a single network, from scratch or by fine-tuning a checkpoint."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypedDict, Unpack

import torch

from nas.checkpoints.checkpoint import Checkpoint
from nas.checkpoints.class_file import ClassFile
from nas.checkpoints.class_map import class_map
from nas.checkpoints.class_names import Notify, listed
from nas.checkpoints.scoring import SplitScore, relabelled
from nas.checkpoints.usage import NORMALIZATIONS, Usage
from nas.data.images import Dataset, require_crop
from nas.data.share import WHOLE, Share
from nas.tasks import task_of, task_of_spec
from nas.tasks.task import Evidence
from nas.training.evaluate import evidence
from nas.training.recipe import Recipe
from nas.training.teacher import Teacher
from nas.training.train import Keeper, Progress, TrainResult, train
from search_spaces import ArchSpec, InputError
from search_spaces.network import Network, build

_log = logging.getLogger(__name__)


class FitOptions(TypedDict, total=False):
    """Keyword arguments of `nas.training.train.train`, for functions that pass them on."""

    seed: int
    device: str
    teacher: Teacher | None
    share: Share
    new_statistics: bool | None
    keeper: Keeper | None
    evaluate_every: int | None
    on_progress: Callable[[Progress], None] | None


@dataclass(frozen=True)
class Retrained:
    """A trained network with its accuracy.

    Attributes:
        checkpoint: The network with its weights, deployed at the resolution that it was trained at.
        result: Result of the training; its accuracy is on val.
        evidence: What it does on the test images.
    """

    checkpoint: Checkpoint
    result: TrainResult
    evidence: Evidence

    @cached_property
    def test(self) -> SplitScore:
        """The metric on the test split, with its interval."""
        return SplitScore.of(self.evidence)


def train_from_scratch(
    spec: ArchSpec, data: Dataset, recipe: Recipe, **options: Unpack[FitOptions]
) -> Retrained:
    """Train a network from random weights; its head, classes and resolution are set to the data's.

    Raises:
        InputError: Fewer images than a batch, images with another center crop than the recipe's, or a
            recipe that keeps statistics, of which there are none.
        Diverged: The loss became NaN or infinite.
    """
    recipe.require_new_weights()
    options.setdefault("seed", 0)
    require_crop(data, recipe.evaluation_crop(data.preparation.crop))
    headed = task_of(data.task).headed(spec, classes=len(data.classes))
    spec = replace(headed, resolution=data.resolution_px)
    if recipe.normalization != "data":
        mean, std = NORMALIZATIONS[recipe.normalization]
        data = replace(data, mean=mean, std=std)
    network = build(spec, generator=torch.Generator().manual_seed(options["seed"]))
    return _trained(network, Usage.of(data), data, recipe, from_scratch=True, options=options)


def fine_tune(
    start: Checkpoint, data: Dataset, recipe: Recipe, **options: Unpack[FitOptions]
) -> Retrained:
    """Fine-tune a checkpoint, on images normalized as for the checkpoint.

    Inexact matches of class names are logged at level INFO.

    Raises:
        InputError: The data's classes or center crop are not the checkpoint's, or fewer images than a
            batch.
        Diverged: The loss became NaN or infinite.
    """
    network, usage, data = _to_tune(start, data, recipe)
    done = _trained(network, usage, data, recipe, from_scratch=False, options=options)
    return replace(done, checkpoint=_like(start, done.checkpoint))


def fine_tuned(
    start: Checkpoint, data: Dataset, recipe: Recipe, **options: Unpack[FitOptions]
) -> Checkpoint:
    """Fine-tune a checkpoint as `fine_tune` does, without a look at the test images."""
    options.setdefault("seed", 0)
    network, usage, data = _to_tune(start, data, recipe)
    train(network, data, recipe, from_scratch=False, **options)
    return _like(start, Checkpoint(network.spec, network.state_dict(), usage))


def _to_tune(start: Checkpoint, data: Dataset, recipe: Recipe) -> tuple[Network, Usage, Dataset]:
    """Return a checkpoint's network, how it will be used, and the images as it sees them."""
    require_crop(data, recipe.evaluation_crop(start.usage.crop))
    start, data = for_classes(start, data, notify=_log.info)
    data = replace(data, mean=start.usage.mean, std=start.usage.std)
    spec = replace(start.spec, resolution=data.resolution_px)
    network = Checkpoint(spec, start.weights, start.usage).network()
    prepared = data.preparation
    usage = replace(
        start.usage, trained_px=data.resolution_px, crop=prepared.crop, fit=prepared.fit
    )
    return network, usage, data


def _like(start: Checkpoint, trained: Checkpoint) -> Checkpoint:
    """Return a trained checkpoint of the device and the parent of the one that it began from."""
    return replace(trained, device=start.device, from_parent=start.from_parent)


def fit(
    spec: ArchSpec,
    start: Checkpoint | None,
    data: Dataset,
    recipe: Recipe,
    **options: Unpack[FitOptions],
) -> Retrained:
    """Fine-tune a checkpoint, or train a network from scratch if there is none.

    Raises:
        InputError: The data's classes are not the checkpoint's, or fewer images than a batch.
        Diverged: The loss became NaN or infinite.
    """
    if start is not None:
        return fine_tune(start, data, recipe, **options)
    return train_from_scratch(spec, data, recipe, **options)


def for_classes(
    checkpoint: Checkpoint,
    data: Dataset,
    *,
    classes: ClassFile | None = None,
    notify: Notify = lambda _: None,
) -> tuple[Checkpoint, Dataset]:
    """Match a checkpoint and a data set to fine-tune it on: every class of one is a class of the other.

    Classes are matched by name. A checkpoint whose classes have no names takes the data's, in order.

    Args:
        checkpoint: A trained network.
        data: Images of its classes.
        classes: Contents of the file given by `--classes`.
        notify: Is notified of inexact matches.

    Returns:
        The checkpoint with class names, and the data with the network's labels.

    Raises:
        InputError: The data has other classes.
    """
    known, task = checkpoint.usage.classes, task_of_spec(checkpoint.spec)
    if task != data.task:
        raise InputError(
            f"the network's head is for the task {task}, the images are annotated for {data.task}: give "
            "it a new head by nas train --new-classifier"
        )
    if len(known) != len(data.classes):
        raise InputError(
            f"the data has {len(data.classes)} classes, the network's head {len(known)}: give it a new "
            "classifier, by nas train --new-classifier"
        )
    found = class_map(data.classes, checkpoint.usage, classes)
    if found.matches.unknown:
        raise InputError(
            f"the data's class {found.matches.unknown[0]!r} is not what the network was trained on: give "
            "it a new classifier by nas train --new-classifier"
        )
    indices = found.indices()
    if len(set(indices)) != len(indices):
        twice = next(index for index in indices if indices.count(index) > 1)
        same = [name for name, index in zip(data.classes, indices, strict=True) if index == twice]
        raise InputError(
            f"the folders {listed(map(repr, same))} are one class of the network: to train, give each of "
            "them a class of its own, or a new classifier by nas train --new-classifier"
        )
    named = replace(checkpoint, usage=replace(checkpoint.usage, classes=found.names, named=True))
    return named, relabelled(data, checkpoint.usage, classes=classes, notify=notify)


def _trained(
    network: Network,
    usage: Usage,
    data: Dataset,
    recipe: Recipe,
    *,
    from_scratch: bool,
    options: FitOptions,
) -> Retrained:
    """Train a network and evaluate it on the test images."""
    options.setdefault("seed", 0)
    result = train(network, data, recipe, from_scratch=from_scratch, **options)
    test = evidence(
        network,
        data.test,
        mean=data.mean,
        std=data.std,
        task=data.task,
        batch_size=recipe.eval_batch_size,
        device=options.get("device", "cpu"),
        half=recipe.autocast,
        share=options.get("share", WHOLE),
    )
    return Retrained(Checkpoint(network.spec, network.state_dict(), usage), result, test)
