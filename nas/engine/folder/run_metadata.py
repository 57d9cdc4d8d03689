"""The parts of `run.json` that both plans share: the devices, the images and the teacher."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, ClassVar, Self

from latency import Device
from nas.engine.folder.records import Record
from nas.tasks import CLASSIFY, task_of

if TYPE_CHECKING:
    from nas.data.images import Dataset

Rgb = tuple[float, float, float]


class DeviceMetadata(Record):
    """A device; see `latency.Device`."""

    name: str
    fingerprint: str = ""
    estimate: bool = False
    local: bool = False
    make: str = ""

    @classmethod
    def of(cls, device: Device) -> Self:
        """Describe a device."""
        return cls(**asdict(device))


class LeftOut(Record):
    """Images that were left out because they cannot be read: their number and names."""

    images: int
    names: tuple[str, ...]


class DataMetadata(Record):
    """The images of a run.

    Attributes:
        name: Name of the data set.
        classes: Number of classes.
        train: Number of training images.
        val: Number of held-out images.
        test: Number of test images.
        px: Resolution at which trials train.
        class_names: Names of the classes, in order.
        mean: Mean of the training images by channel, 0..1; with `std`, identifies them.
        std: Their standard deviation.
        left_out: Images that cannot be read, if there are any.
        crop: Fraction of the shorter side that evaluation sees.
        task: Name of what is learned; None for classes.
        metric: Name of the metric that accuracies are; None for top-1 accuracy.
    """

    omitted: ClassVar[frozenset[str]] = frozenset({"left_out", "task", "metric"})

    name: str
    classes: int
    train: int
    val: int
    test: int
    px: int
    class_names: tuple[str, ...] | None = None
    mean: Rgb | None = None
    std: Rgb | None = None
    left_out: LeftOut | None = None
    crop: float = 1.0
    task: str | None = None
    metric: str | None = None

    @classmethod
    def of(cls, data: Dataset) -> Self:
        """Describe the images."""
        names = tuple(data.left_out)
        dense = data.task != CLASSIFY
        return cls(
            name=data.name,
            classes=len(data.classes),
            train=len(data.train),
            val=len(data.val),
            test=len(data.test),
            px=data.resolution_px,
            class_names=tuple(data.classes),
            mean=data.mean,
            std=data.std,
            left_out=LeftOut(images=len(names), names=names) if names else None,
            crop=data.preparation.crop,
            task=data.task if dense else None,
            metric=task_of(data.task).metric.name if dense else None,
        )

    def same_files(self, other: DataMetadata) -> bool:
        """Return whether both have as many images of the same size and classes."""
        mine, theirs = (
            (data.train, data.val, data.test, data.px, data.class_names) for data in (self, other)
        )
        return mine == theirs


class TeacherMetadata(Record):
    """The network that final trainings learn from, and NetAdapt's proposals if they are taught.

    Attributes:
        file: Its file, as given.
        weights: Digest of its weights.
        temperature: See `nas.training.teacher_config.TeacherConfig`.
        weight: See there.
    """

    file: str
    weights: str
    temperature: float
    weight: float

    def sentence(self, students: str, *, name: str = "") -> str:
        """Say who learned from it.

        Args:
            students: The subject of the sentence.
            name: What the teacher is called; its file by default.

        >>> teacher = TeacherMetadata(file="big.pt", weights="", temperature=2, weight=0.5)
        >>> teacher.sentence("Finalists")
        'Finalists also learned from a teacher, big.pt (temperature 2, 50% of the loss).'
        """
        return (
            f"{students} also learned from a teacher, {name or self.file} (temperature "
            f"{self.temperature:g}, {self.weight:.0%} of the loss)."
        )


class DataChange(Record):
    """A change of the images that was accepted: when, and what changed, in phrases."""

    at: str
    what: tuple[str, ...]


class ImagesOfRun(Record):
    """What the `run.json` of either plan says about the images.

    Attributes:
        kind: Empty for a search.
        data: The images; None before they are recorded.
        data_changes: Accepted changes, in order.
    """

    kind: str = ""
    data: DataMetadata | None = None
    data_changes: tuple[DataChange, ...] = ()
