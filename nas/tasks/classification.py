"""Classification: each image has one class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from nas.data.images import labels_of
from nas.data.regions import Regions
from nas.formatting import one_line
from nas.tasks.augmentation.augment import augment
from nas.tasks.augmentation.mixing import mix
from nas.tasks.confusion import Confusion
from nas.tasks.confusion_tables import confusion_tables
from nas.tasks.display import Chart, Table
from nas.tasks.intervals import Difference, wilson
from nas.tasks.survey import Survey, images_with
from nas.tasks.task import Metric, Quick, Score, Usual
from search_spaces.errors import InputError
from search_spaces.heads.specs import classifier

if TYPE_CHECKING:
    from nas.data.images import Split
    from nas.data.masks.coding import Color
    from nas.data.share import Share
    from nas.tasks.outputs import Outputs
    from nas.tasks.postprocessing import Postprocessing
    from nas.tasks.task import Learning, Originals
    from search_spaces import ArchSpec


@dataclass(frozen=True, eq=False)
class Answers:
    """The predicted classes of images.

    Attributes:
        given: Predictions, int64 (N,).
        right: Labels, int64 (N,).
        sureness: Probability of each label, float32 (N,).
        total_loss: Summed cross entropy, in nats.
    """

    given: NDArray[np.int64]
    right: NDArray[np.int64]
    sureness: NDArray[np.float32]
    total_loss: float = 0.0

    def __len__(self) -> int:
        return len(self.right)

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Whether each image is classified correctly, (N,)."""
        correct: NDArray[np.bool_] = self.given == self.right
        return correct

    @property
    def accuracy(self) -> float:
        """Top-1 accuracy, 0..1."""
        return float(self.correct.mean())

    def score(self) -> Score:
        """Return top-1 accuracy and mean cross entropy in nats."""
        return Score(self.accuracy, self.total_loss / len(self))

    def interval(self) -> tuple[float, float]:
        """Return Wilson's interval of the accuracy."""
        return wilson(self.accuracy, len(self))

    def minus(self, other: Answers) -> Difference:
        """Return the paired difference of the accuracies."""
        return Difference.of(self.correct.tolist(), other.correct.tolist())

    def each(self) -> NDArray[np.float64]:
        """Return the probability of each label, (N,)."""
        return self.sureness.astype(np.float64)

    def details(self, classes: Sequence[str]) -> dict[str, Any]:
        """Return the accuracy of each class, and the confusion matrix."""
        return Confusion.of(self, tuple(classes)).to_dict()

    def tables(self, classes: Sequence[str]) -> tuple[Table, ...]:
        """Return accuracy by class and what is confused."""
        return tuple(confusion_tables(Confusion.of(self, tuple(classes))))

    def charts(self, classes: Sequence[str]) -> tuple[Chart, ...]:
        """Return the confusion matrix of the classes that occur."""
        return (Confusion.of(self, tuple(classes)).chart(),)

    def joined(self, others: Sequence[Answers]) -> Answers:
        """Return these answers followed by others."""
        every = [self, *others]
        return Answers(
            np.concatenate([part.given for part in every]),
            np.concatenate([part.right for part in every]),
            np.concatenate([part.sureness for part in every]),
            sum(part.total_loss for part in every),
        )

    def state_dict(self) -> dict[str, Any]:
        """Return all of it as tensors and numbers."""
        arrays = {"given": self.given, "right": self.right, "sureness": self.sureness}
        return {
            **{name: torch.from_numpy(array) for name, array in arrays.items()},
            "total_loss": self.total_loss,
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Inverse of `state_dict`."""
        given, right, sureness = (state[name].numpy() for name in ("given", "right", "sureness"))
        return cls(given, right, sureness, state["total_loss"])


@dataclass(frozen=True, eq=False)
class Shares:
    """The class of an image.

    Attributes:
        probabilities: float32 (classes,).
        annotated: Whether it is the label, rather than what a network says.
    """

    probabilities: Tensor
    annotated: bool = False

    def drawn(self, pixels: Tensor, classes: Sequence[str]) -> Tensor:  # noqa: ARG002
        """Return the image as it is: a class has no place in it."""
        return pixels.clone()

    def colors(
        self,
        classes: Sequence[str],  # noqa: ARG002
        *,
        size: tuple[int, int],  # noqa: ARG002
    ) -> dict[str, Color]:
        """Return nothing: nothing is drawn."""
        return {}

    def said(self, classes: Sequence[str]) -> str:
        """Return the label, or the most likely class with its probability."""
        best = int(self.probabilities.argmax())
        share = "" if self.annotated else f" {100 * float(self.probabilities[best]):.0f}%"
        return f"{classes[best]}{share}"

    def document(
        self,
        classes: Sequence[str],
        *,
        size: tuple[int, int],  # noqa: ARG002
    ) -> list[dict[str, Any]]:
        """Return every class with its probability, the best first."""
        order = self.probabilities.argsort(descending=True, stable=True).tolist()
        return [
            {
                "class": classes[index],
                "index": index,
                "probability": float(self.probabilities[index]),
            }
            for index in order
        ]

    def agreement(self, other: Shares) -> float:
        """Return whether the most likely class is the same."""
        return float(self.probabilities.argmax() == other.probabilities.argmax())


class AnswersMeter:
    """Collects predictions; losses stay on the device, because reading each would make a GPU wait."""

    def __init__(self) -> None:
        self._given: list[Tensor] = []
        self._right: list[Tensor] = []
        self._sureness: list[Tensor] = []
        self._loss: Tensor | float = 0.0

    def add(self, outputs: Outputs, targets: Tensor) -> None:
        """Take in logits (N, classes) and labels (N,)."""
        assert isinstance(outputs, Tensor)
        self._given.append(outputs.argmax(dim=1))
        self._right.append(targets)
        shares = outputs.float().softmax(dim=1)
        self._sureness.append(shares.gather(1, targets[:, None])[:, 0])
        loss = functional.cross_entropy(outputs.float(), targets, reduction="sum")
        self._loss = self._loss + loss.double()

    def evidence(self) -> Answers:
        """Return the answers in the order in which they were added."""
        return Answers(
            _joined(self._given, torch.long),
            _joined(self._right, torch.long),
            _joined(self._sureness, torch.float32),
            float(self._loss),
        )


class Classification:
    """The task of networks with a classifier; targets are class indices, int64 (N,)."""

    metric = Metric("accuracy", "top-1 accuracy", "the probability of the label")

    usual = Usual(
        "finetune",
        "proxy",
        trial_steps=40,
        final_epochs=None,
        teacher_weight=0.5,
        quick=Quick(px=96, parent_epochs=8, final_epochs=4),
    )

    def headed(self, spec: ArchSpec, *, classes: int) -> ArchSpec:
        """Return the network with another number of classes."""
        return replace(spec, head=replace(classifier(spec.head), classes=classes))

    def stored_px(self, how: Learning, size_px: int) -> int:
        """Return the side at which a random crop of mean area keeps its detail."""
        return how.augment.stored_px(size_px)

    def strata(self, targets: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the classes: of each, the same fraction is held out."""
        return targets

    def images_with(self, targets: NDArray[np.int64], *, classes: int) -> NDArray[np.int64]:
        """Count the images of each class."""
        return np.bincount(targets, minlength=classes)

    def chance(self, split: Split, *, classes: int) -> float:
        """Return the accuracy of always answering the most frequent class, at least 1/classes.

        A split that does not hold its labels is assumed to be balanced.
        """
        labels = labels_of(split)
        if labels is None or not len(labels):
            return 1 / classes
        return max(1 / classes, float(np.bincount(labels).max() / len(labels)))

    def relabelled(self, targets: Tensor, indices: Tensor) -> Tensor:
        """Look each label up."""
        return indices[targets]

    def concatenated(
        self, targets: NDArray[np.int64], others: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Return the labels of both."""
        return np.concatenate([targets, others])

    def stand_in(self, count: int, *, px: int) -> Tensor:  # noqa: ARG002
        """Return the first class for every image."""
        return torch.zeros(count, dtype=torch.long)

    def augmented(
        self,
        images: Tensor,
        targets: Tensor,
        how: Learning,
        *,
        generator: torch.Generator,
        size_px: int | None,
        share: Share,
    ) -> tuple[Tensor, Tensor]:
        """Augment the images; a label stays what it is. See `Task.augmented`."""
        changed = augment(images, how.augment, generator=generator, size_px=size_px, share=share)
        return changed, targets

    def mixed(
        self, pixels: Tensor, targets: Tensor, how: Learning, *, classes: int, seed: int
    ) -> tuple[Tensor, Tensor]:
        """Apply mixup or CutMix; the targets then are probabilities (N, classes)."""
        if not (how.augment.mixup or how.augment.cutmix):
            return pixels, targets
        return mix(pixels.float(), targets, how.augment, classes=classes, seed=seed)

    def loss(
        self,
        outputs: Outputs,
        targets: Tensor,
        how: Learning,
        *,
        spec: ArchSpec | None,  # noqa: ARG002
    ) -> Tensor:
        """Return the cross entropy of logits (N, classes) with labels (N,), smoothed, or probabilities."""
        assert isinstance(outputs, Tensor)
        return functional.cross_entropy(outputs, targets, label_smoothing=how.label_smoothing)

    def distilled(self, outputs: Outputs, taught: Outputs, *, temperature: float) -> Tensor:
        """Return the cross entropy of the student's softened outputs with the teacher's, times T^2.

        The factor keeps the gradient's size independent of the temperature T (Hinton et al. 2015).
        """
        assert isinstance(outputs, Tensor)
        assert isinstance(taught, Tensor)
        targets = functional.softmax(taught.float() / temperature, dim=1)
        return functional.cross_entropy(outputs / temperature, targets) * temperature**2

    def regions(self, target: NDArray[np.int64]) -> Regions:
        """Return the class, which the whole image has."""
        return Regions(np.atleast_1d(target), np.ones(1), np.zeros(1, bool))

    def survey(self, splits: Mapping[str, Sequence[Regions]], classes: Sequence[str]) -> Survey:
        """Count the images of each class."""
        rows = tuple(
            (one_line(name), *(str(images_with(images, index)) for images in splits.values()))
            for index, name in enumerate(classes)
        )
        total = ("all", *(f"{len(images):,}" for images in splits.values()))
        return Survey((Table(("class", *splits), (*rows, total), total=True),), (), {})

    def truth(self, targets: Tensor) -> list[Shares]:
        """Return the class of each image."""
        count = int(targets.max()) + 1 if len(targets) else 0
        shares = functional.one_hot(targets, count).float()
        return [Shares(one, annotated=True) for one in shares]

    def predictions(
        self,
        outputs: Outputs,
        *,
        spec: ArchSpec | None,  # noqa: ARG002
    ) -> list[Shares]:
        """Return the probabilities of logits (N, classes)."""
        assert isinstance(outputs, Tensor)
        return [Shares(one) for one in functional.softmax(outputs.float(), dim=1)]

    def postprocessing(self, spec: ArchSpec) -> Postprocessing:
        """Raise an error: logits need none."""
        raise InputError(
            f"a classifier of {spec.head.classes} classes has no post-processing: its largest logit is the "
            "answer"
        )

    def evidence(self, state: Mapping[str, Any]) -> Answers:
        """Inverse of `Answers.state_dict`."""
        return Answers.from_state(state)

    def meter(
        self,
        *,
        spec: ArchSpec | None,  # noqa: ARG002
        originals: Originals | None = None,  # noqa: ARG002
    ) -> AnswersMeter:
        """Return an empty meter."""
        return AnswersMeter()


def _joined(parts: Sequence[Tensor], dtype: torch.dtype) -> NDArray[Any]:
    """Concatenate figures of images (N,) on the CPU; there may be none."""
    nothing = torch.empty(0, dtype=dtype)
    joined: NDArray[Any] = torch.cat([nothing, *(part.cpu() for part in parts)]).numpy()
    return joined
