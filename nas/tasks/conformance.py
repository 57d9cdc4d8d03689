"""The contract of a task as a function, like Gymnasium's ``check_env``.

In the tests of your own task:

    check_task(MyTask(), data, network, Recipe())
"""

from __future__ import annotations

import io
import json
import math
import pickle
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from nas.data.images import Dataset
from nas.data.share import WHOLE, Share
from nas.tasks.augmentation.augment import normalize
from nas.tasks.display import Lines, Matrix
from nas.tasks.outputs import Outputs, spec_of
from nas.tasks.task import Evidence, Learning, Task
from search_spaces.errors import InputError

BATCH = 8
SEED = 3

JOINED_TOLERANCE = 1e-4
"""Of scores between 0 and 1: where scores of boxes tie, AP depends on the order of images."""

ALIKE = 0.98
"""Least agreement of predictions that are the same but for rounding."""


@dataclass(frozen=True)
class Subject:
    """What a task is checked with.

    Attributes:
        task: The task.
        data: Images with its targets; at least eight for training.
        network: float32 (N, 3, px, px) -> outputs that the task can read.
        how: Settings of a training.
    """

    task: Task
    data: Dataset
    network: nn.Module
    how: Learning

    def batch(self) -> tuple[Tensor, Tensor]:
        """Return the first training images, and their targets."""
        return next(self.data.train.batches(BATCH))

    def augmented(
        self, images: Tensor, targets: Tensor, share: Share = WHOLE
    ) -> tuple[Tensor, Tensor]:
        """Augment a batch, always by the same draws."""
        return self.task.augmented(
            images,
            targets,
            self.how,
            generator=torch.Generator().manual_seed(SEED),
            size_px=self.data.resolution_px,
            share=share,
        )

    def outputs(self, pixels: Tensor) -> Outputs:
        """Run the network on pixels 0..255."""
        outputs: Outputs = self.network(normalize(pixels, mean=self.data.mean, std=self.data.std))
        return outputs

    def evidence(self, share: Share = WHOLE) -> Evidence:
        """Return what the network does on the test images, or on a part of each batch of them."""
        meter = self.task.meter(spec=spec_of(self.network))
        with torch.no_grad():
            for images, targets in self.data.test.batches(BATCH, share=share):
                meter.add(self.outputs(images), targets)
        return meter.evidence()


def check_task(task: Task, data: Dataset, network: nn.Module, how: Learning) -> None:
    """Run every check of the contract.

    Args:
        task: The task.
        data: A few images with its targets, at least eight of them for training.
        network: A network for these images, of any weights.
        how: Settings of a training, such as a `Recipe` with all augmentation that the task supports.

    Raises:
        AssertionError: The task breaks the contract; the message says which part.
    """
    network.eval()
    for check in CHECKS:
        check(Subject(task, data, network, how))


def check_augmentation(subject: Subject) -> None:
    """It gives as many images and targets, is reproducible, and leaves its input alone."""
    images, targets = subject.batch()
    before = images.clone(), targets.clone()
    pixels, changed = subject.augmented(images, targets)
    px = subject.data.resolution_px
    _require(pixels.shape == (BATCH, 3, px, px), f"augmented images are {tuple(pixels.shape)}")
    _require(pixels.dtype == torch.uint8, f"augmented images are {pixels.dtype}")
    _require(len(changed) == BATCH, f"{BATCH} images have {len(changed)} augmented targets")
    kinds = f"targets are {targets.dtype}, augmented ones {changed.dtype}"
    _require(changed.dtype == targets.dtype, kinds)
    again = subject.augmented(images, targets)
    _require(_equal((pixels, changed), again), "equal generators augment differently")
    _require(_equal((images, targets), before), "augmentation modified its input")


def check_shares(subject: Subject) -> None:
    """Two processes with half of a batch each augment as one does with all of it."""
    images, targets = subject.batch()
    halves = []
    for rank in range(2):
        share = Share(rank, 2)
        part = share.part(BATCH)
        halves.append(subject.augmented(images[part], targets[part], share))
    parts = zip(*halves, strict=True)
    joined = tuple(torch.cat(part) for part in parts)
    _require(
        _equal(joined, subject.augmented(images, targets)), "two processes do not augment as one"
    )


def check_loss(subject: Subject) -> None:
    """The loss is a finite number that all weights can learn from, also of a part of a batch."""
    task, data = subject.task, subject.data
    pixels, targets = subject.augmented(*subject.batch())
    pixels, targets = task.mixed(pixels, targets, subject.how, classes=len(data.classes), seed=SEED)
    spec = spec_of(subject.network)
    for inputs, wanted in ((pixels, targets), (pixels[:3], targets[:3])):
        subject.network.zero_grad()
        loss = task.loss(subject.outputs(inputs), wanted, subject.how, spec=spec)
        _require_loss(loss, "loss")
        loss.backward()  # type: ignore[no-untyped-call]
        for name, weight in subject.network.named_parameters():
            _require(weight.grad is not None, f"the loss does not depend on {name}")
    subject.network.zero_grad()


def check_distillation(subject: Subject) -> None:
    """A teacher's outputs give a finite loss."""
    images, _ = subject.batch()
    with torch.no_grad():
        outputs = subject.outputs(images)
    _require_loss(subject.task.distilled(outputs, outputs, temperature=2.0), "distilled")


def check_stand_in(subject: Subject) -> None:
    """Targets that stand in for real ones are augmented and learned like those."""
    images, targets = subject.batch()
    made = subject.task.stand_in(len(images), px=images.shape[-1])
    _require(made.dtype == targets.dtype, f"stand-ins are {made.dtype}, targets {targets.dtype}")
    _require(made.ndim == targets.ndim, f"stand-ins are {made.ndim}-d, targets {targets.ndim}-d")
    pixels, changed = subject.augmented(images, made)
    outputs, spec = subject.outputs(pixels), spec_of(subject.network)
    _require_loss(subject.task.loss(outputs, changed, subject.how, spec=spec), "loss of stand-ins")


def check_targets(subject: Subject) -> None:
    """Each image has a stratum; targets can be joined, and get their own classes back after others."""
    _, targets = subject.batch()
    joined = subject.task.concatenated(targets[:3].numpy(), targets[3:].numpy())
    _require(np.array_equal(joined, targets.numpy()), "concatenated changed targets")
    classes = len(subject.data.classes)
    counts = subject.task.images_with(targets.numpy(), classes=classes)
    _require(counts.shape == (classes,), f"images_with counts {counts.shape}, not each class")
    _require(bool((counts <= BATCH).all()), f"{counts.max()} of {BATCH} images have one class")
    strata = subject.task.strata(targets.numpy())
    _require(strata.shape == (BATCH,), f"strata are {strata.shape}, not one for each image")
    same = torch.arange(classes)
    _require(
        torch.equal(subject.task.relabelled(targets, same), targets), "relabelled changed targets"
    )
    there = subject.task.relabelled(targets, same.roll(1))
    back = subject.task.relabelled(there, same.roll(-1))
    _require(torch.equal(back, targets), "relabelled there and back changed targets")


def check_evidence(subject: Subject) -> None:
    """Metric and interval are within 0..1, and nothing differs from itself."""
    found = subject.evidence()
    score, (low, high) = found.score(), found.interval()
    _require(len(found) == len(subject.data.test), f"evidence of {len(found)} images")
    _require(0 <= low <= score.accuracy <= high <= 1, f"{score.accuracy} within {low}..{high}")
    _require(math.isfinite(score.loss), f"loss {score.loss}")
    each = found.each()
    _require(each.shape == (len(found),), f"scores of single images are {each.shape}")
    _require(bool(((each >= 0) & (each <= 1)).all()), f"scores of single images: {each}")
    none = found.minus(found)
    _require(none.points == 0 and none.low <= 0 <= none.high, f"differs from itself: {none}")
    chance = subject.task.chance(subject.data.test, classes=len(subject.data.classes))
    _require(0 <= chance <= 1, f"chance is {chance}")


def check_display(subject: Subject) -> None:
    """Evaluations and targets can be shown: tables are whole, details are JSON, and drawing keeps sizes."""
    found, classes = subject.evidence(), subject.data.classes
    json.dumps(dict(found.details(classes)))
    for table in found.tables(classes):
        widths = {len(row) for row in table.rows}
        _require(
            widths <= {len(table.columns)}, f"rows of {widths} cells, not {len(table.columns)}"
        )
    for chart in found.charts(classes):
        _require(isinstance(chart, Lines | Matrix), f"a chart is {type(chart).__name__}")
    images, targets = subject.batch()
    for truth, image in zip(subject.task.truth(targets), images, strict=True):
        drawn = truth.drawn(image, classes)
        _require(drawn.shape == image.shape, f"drawn images are {tuple(drawn.shape)}")
        height, width = image.shape[-2:]
        named = truth.colors(classes, size=(width, height))
        _require(set(named) <= {*classes, "ignored"}, f"colors of {set(named) - set(classes)}")


def check_survey(subject: Subject) -> None:
    """What is annotated has known classes, and can be tabulated."""
    classes = subject.data.classes
    _, targets = subject.batch()
    regions = [subject.task.regions(target) for target in targets.numpy()]
    for one in regions:
        known = np.isin(one.counted(), np.arange(len(classes))).all()
        _require(bool(known), f"regions of the classes {one.counted()}, there are {len(classes)}")
        _require(bool(((one.shares >= 0) & (one.shares <= 1)).all()), f"shares {one.shares}")
    survey = subject.task.survey({"train": regions, "val": []}, classes)
    json.dumps(dict(survey.document))
    rows = {len(table.rows) for table in survey.tables}
    _require(bool(rows) and min(rows) > len(classes), "the survey does not list all classes")


def check_joining(subject: Subject) -> None:
    """The evidence of processes or files, sent and joined, scores as that of one."""
    parts = [subject.evidence(Share(rank, 2)) for rank in range(2)]
    first, *others = (pickle.loads(pickle.dumps(part)) for part in parts)  # noqa: S301  our own
    joined, whole = first.joined(others), subject.evidence()
    _require(len(joined) == len(whole), f"{len(whole)} images, {len(joined)} after joining")
    for ours, theirs in zip(joined.score(), whole.score(), strict=True):
        _require(
            math.isclose(ours, theirs, rel_tol=1e-4, abs_tol=JOINED_TOLERANCE),
            f"{theirs} of one process, {ours} of two",
        )


def check_keeping(subject: Subject) -> None:
    """Evidence read from a file, in which torch allows no code, is what was written."""
    written, content = subject.evidence(), io.BytesIO()
    torch.save(dict(written.state_dict()), content)
    content.seek(0)
    read = subject.task.evidence(torch.load(content, weights_only=True))
    _require(read.score() == written.score(), f"{written.score()} became {read.score()}")
    _require(read.minus(written).points == 0, "evidence from a file differs from what was written")
    _require(bool((read.each() == written.each()).all()), "scores of single images changed")


def check_postprocessing(subject: Subject) -> None:
    """Where there is post-processing, its results are read like the outputs, and say the same."""
    spec = spec_of(subject.network)
    if spec is None:
        return
    try:
        process = subject.task.postprocessing(spec)
    except InputError:
        return
    images, targets = subject.batch()
    noise = torch.Generator().manual_seed(SEED)
    with torch.no_grad():
        outputs = subject.outputs(images)
        # Of boxes with equal scores, which untrained networks have, any may be kept.
        apart = [one + torch.randn(one.shape, generator=noise) for one in _each(outputs)]
        outputs = apart[0] if isinstance(outputs, Tensor) else tuple(apart)
        results = process(*apart)
    every = _each(results)
    _require(len(every) == len(process.output_names), f"{len(every)} results have other names")
    _require(all(len(one) == BATCH for one in every), "results are not one for each image")
    pairs = (subject.task.predictions(one, spec=spec) for one in (outputs, results))
    for ours, theirs in zip(*pairs, strict=True):
        _require(ours.agreement(theirs) > ALIKE, f"results agree by {ours.agreement(theirs):.1%}")
    meter = subject.task.meter(spec=spec)
    meter.add(results, targets)
    _require(len(meter.evidence()) == BATCH, "results are not evidence of each image")


CHECKS = (
    check_augmentation,
    check_shares,
    check_loss,
    check_distillation,
    check_stand_in,
    check_targets,
    check_evidence,
    check_display,
    check_survey,
    check_joining,
    check_keeping,
    check_postprocessing,
)


def _require(kept: bool, message: str) -> None:
    if not kept:  # not an assert statement: python -O removes those
        raise AssertionError(message)


def _require_loss(loss: Tensor, what: str) -> None:
    _require(loss.ndim == 0, f"{what} is not a scalar, but {tuple(loss.shape)}")
    _require(bool(loss.isfinite()), f"{what} is {loss.item()}")


def _each(outputs: Outputs) -> tuple[Tensor, ...]:
    return (outputs,) if isinstance(outputs, Tensor) else outputs


def _equal(some: tuple[Tensor, ...], others: tuple[Tensor, ...]) -> bool:
    return all(torch.equal(one, other) for one, other in zip(some, others, strict=True))
