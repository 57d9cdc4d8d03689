"""The interface of a task: what training, search and evaluation need to know of what is learned.

A target is one tensor with the images in front, and a network's output one tensor or a tuple of them, so
that everything else can batch, move and share both without knowing the task.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Self

from nas.tasks.display import Chart, Table
from nas.tasks.intervals import Difference

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import Tensor

    from nas.data.images import Split
    from nas.data.masks.coding import Color
    from nas.data.regions import Regions
    from nas.data.share import Share
    from nas.tasks.outputs import Outputs
    from nas.tasks.postprocessing import Postprocessing
    from nas.tasks.settings import Augment, DetectSettings, SegmentSettings
    from nas.tasks.survey import Survey
    from search_spaces import ArchSpec


class Learning(Protocol):
    """The settings of a training that tasks read; `nas.training.recipe.Recipe` has them."""

    @property
    def augment(self) -> Augment:
        """Random augmentation of training images."""
        ...

    @property
    def detect(self) -> DetectSettings:
        """Augmentation that moves boxes."""
        ...

    @property
    def segment(self) -> SegmentSettings:
        """Augmentation that moves masks."""
        ...

    @property
    def label_smoothing(self) -> float:
        """Fraction of the target spread evenly over classes."""
        ...


class Metric(NamedTuple):
    """What a task's score is called.

    Attributes:
        name: In columns and sentences.
        full: In full.
        of_image: What the score of one image is; see `Evidence.each`.
    """

    name: str
    full: str
    of_image: str


class Quick(NamedTuple):
    """How the preset quick trains in a search from a parent: in minutes.

    Attributes:
        px: Largest side of the input.
        parent_epochs: Epochs of the parent's fine-tuning.
        final_epochs: Epochs of a finalist.
    """

    px: int
    parent_epochs: float
    final_epochs: float


class Usual(NamedTuple):
    """How a search usually trains networks for a task.

    Attributes:
        recipe: Recipe of networks that begin with trained weights; see `nas.training.named_recipes`.
        from_scratch: Recipe of networks that begin with new ones.
        trial_steps: Steps of a trial that begins with a parent's weights.
        final_epochs: Epochs of a finalist that does; None takes the recipe's.
        teacher_weight: Of the parent as teacher of its sub-networks; 0 for none.
        quick: In the preset quick.
    """

    recipe: str
    from_scratch: str
    trial_steps: int
    final_epochs: float | None
    teacher_weight: float
    quick: Quick


class Score(NamedTuple):
    """The task's metric in 0..1, such as top-1 accuracy, and the mean loss of an image."""

    accuracy: float
    loss: float


class Evidence(Protocol):
    """What a network did on each of some images. Picklable."""

    def __len__(self) -> int:
        """Return the number of images."""
        ...

    def score(self) -> Score:
        """Return metric and loss over all images."""
        ...

    def interval(self) -> tuple[float, float]:
        """Return the 95% interval of the metric, 0..1, over images like these."""
        ...

    def minus(self, other: Self) -> Difference:
        """Return how much higher the metric is than another network's on the same images."""
        ...

    def each(self) -> NDArray[np.float64]:
        """Return how well the network does on each image, 0..1, (N,): the worst are shown first."""
        ...

    def details(self, classes: Sequence[str]) -> Mapping[str, Any]:
        """Return what else there is to say about the images, as plain data: by class, by size.

        Args:
            classes: Names of the classes.
        """
        ...

    def tables(self, classes: Sequence[str]) -> Sequence[Table]:
        """Return the details that people are shown in a terminal and in a report.

        Args:
            classes: Names of the classes.
        """
        ...

    def charts(self, classes: Sequence[str]) -> Sequence[Chart]:
        """Return what a report draws, such as curves and the confusion matrix.

        Args:
            classes: Names of the classes.
        """
        ...

    def joined(self, others: Sequence[Self]) -> Self:
        """Return the evidence of these images and of others."""
        ...

    def state_dict(self) -> Mapping[str, Any]:
        """Return all of it as tensors and numbers, for a file; `Task.evidence` reads them."""
        ...


class Originals(Protocol):
    """The images of a split as their files have them, in the order of the split."""

    def size(self, index: int) -> tuple[int, int]:
        """Return width and height of an image, upright."""
        ...

    def target(self, index: int) -> Tensor:
        """Return what is true of an image at its own size, as targets of one image, (1, ...)."""
        ...


class Meter(Protocol):
    """Collects what a network does, batch by batch, without waiting for its device."""

    def add(self, outputs: Outputs, targets: Tensor) -> None:
        """Take in a batch.

        Args:
            outputs: The network's, on any device, or those of `Task.postprocessing`. The latter may lack
                what the loss needs, which then is NaN.
            targets: The images' own, on the same device.
        """
        ...

    def evidence(self) -> Evidence:
        """Return what was collected, in the order of the images."""
        ...


class Prediction(Protocol):
    """What a network says of an image, or what is true of it."""

    def drawn(self, pixels: Tensor, classes: Sequence[str]) -> Tensor:
        """Draw it on an image.

        Args:
            pixels: uint8 (3, H, W), on the CPU; not modified.
            classes: Names of the classes.

        Returns:
            uint8 (3, H, W).
        """
        ...

    def colors(self, classes: Sequence[str], *, size: tuple[int, int]) -> Mapping[str, Color]:
        """Return the color of each class that is drawn without its name.

        Args:
            classes: Names of the classes.
            size: Width and height at which it is drawn.
        """
        ...

    def said(self, classes: Sequence[str]) -> str:
        """Return it in words, on one line.

        Args:
            classes: Names of the classes.
        """
        ...

    def document(self, classes: Sequence[str], *, size: tuple[int, int]) -> Any:
        """Return it as plain data.

        Args:
            classes: Names of the classes.
            size: Width and height of the image in pixels.
        """
        ...

    def agreement(self, other: Self) -> float:
        """Return to what extent another network says the same of the image, 0..1; 1 of itself."""
        ...


class Task(Protocol):
    """What is learned of images: how targets follow augmentation, the loss, and the metric."""

    @property
    def metric(self) -> Metric:
        """The metric, which `Score.accuracy` holds."""
        ...

    @property
    def usual(self) -> Usual:
        """The settings of a search, unless it says otherwise."""
        ...

    def headed(self, spec: ArchSpec, *, classes: int) -> ArchSpec:
        """Return a network with a head of this task for a number of classes.

        A head of the task keeps all but its classes; another one is replaced.

        Raises:
            InputError: The body cannot have such a head.
        """
        ...

    def stored_px(self, how: Learning, size_px: int) -> int:
        """Return the side at which training images are stored, for augmentation that crops them."""
        ...

    def strata(self, targets: NDArray[Any]) -> NDArray[Any]:
        """Return the group of each image, (N,): of every group the same fraction is held out."""
        ...

    def images_with(self, targets: NDArray[Any], *, classes: int) -> NDArray[np.int64]:
        """Return in how many images each class occurs, (classes,).

        Args:
            targets: (N, ...).
            classes: Number of classes.
        """
        ...

    def chance(self, split: Split, *, classes: int) -> float:
        """Return the metric of a network that has not looked at the images of a split."""
        ...

    def relabelled(self, targets: Tensor, indices: Tensor) -> Tensor:
        """Return the targets (N, ...) of another list of classes.

        Args:
            targets: Of the own classes.
            indices: Index into the other list for each own class, (own classes,).
        """
        ...

    def concatenated(self, targets: NDArray[Any], others: NDArray[Any]) -> NDArray[Any]:
        """Return the targets of two splits as one, (N + M, ...).

        Args:
            targets: (N, ...).
            others: (M, ...), such as of another size; they are given the size of `targets`.
        """
        ...

    def stand_in(self, count: int, *, px: int) -> Tensor:
        """Return targets (count, ...) of images of this size that take as long to learn as real ones."""
        ...

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
        """Change each image at random, and its target with it.

        Args:
            images: uint8 (N, 3, S, S); not modified.
            targets: (N, ...), on the same device; not modified.
            how: Settings of the training.
            generator: On the device of the images.
            size_px: Side of the result; None is S.
            share: Which part of a batch the images are.

        Returns:
            uint8 (N, 3, size_px, size_px), channels last in memory, and targets (N, ...).
        """
        ...

    def mixed(
        self, pixels: Tensor, targets: Tensor, how: Learning, *, classes: int, seed: int
    ) -> tuple[Tensor, Tensor]:
        """Mix the images of an augmented batch with each other, if the settings say so.

        Args:
            pixels: uint8 (N, 3, px, px).
            targets: (N, ...).
            how: Settings of the training.
            classes: Number of classes.
            seed: Seed of the draws.

        Returns:
            Pixels 0..255 (N, 3, px, px), and targets for `loss`.
        """
        ...

    def loss(
        self, outputs: Outputs, targets: Tensor, how: Learning, *, spec: ArchSpec | None
    ) -> Tensor:
        """Return the mean loss of a batch, a scalar.

        Args:
            outputs: The network's, in float32.
            targets: From `mixed`.
            how: Settings of the training.
            spec: The network's, if known: it says how to read the outputs.
        """
        ...

    def distilled(self, outputs: Outputs, taught: Outputs, *, temperature: float) -> Tensor:
        """Return the mean loss of a batch against a teacher's outputs, a scalar.

        Args:
            outputs: The network's, in float32.
            taught: The teacher's on the same images.
            temperature: Divides both networks' logits.
        """
        ...

    def regions(self, target: NDArray[Any]) -> Regions:
        """Return which classes are in an image, and how much of it they cover.

        Args:
            target: The image's own, (...).
        """
        ...

    def survey(self, splits: Mapping[str, Sequence[Regions]], classes: Sequence[str]) -> Survey:
        """Describe what is annotated in a data set.

        Args:
            splits: What is annotated in each image, by split; see `regions`.
            classes: Names of the classes.
        """
        ...

    def truth(self, targets: Tensor) -> Sequence[Prediction]:
        """Return what is true of each image, (N, ...)."""
        ...

    def predictions(self, outputs: Outputs, *, spec: ArchSpec | None) -> Sequence[Prediction]:
        """Return what a network says of each image.

        Args:
            outputs: Its outputs, on the CPU, or those of `postprocessing`.
            spec: The network's, if known.
        """
        ...

    def postprocessing(self, spec: ArchSpec) -> Postprocessing:
        """Return what an exported file may compute behind a network.

        Raises:
            InputError: Nothing: the network's outputs are its results.
        """
        ...

    def evidence(self, state: Mapping[str, Any]) -> Evidence:
        """Inverse of `Evidence.state_dict`."""
        ...

    def meter(self, *, spec: ArchSpec | None, originals: Originals | None = None) -> Meter:
        """Return an empty meter.

        Args:
            spec: The network whose outputs it takes, if known.
            originals: The images that will be added, in this order, to judge the network in their own size;
                None judges it by the targets that are added.
        """
        ...
