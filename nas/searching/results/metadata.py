"""`run.json` of a search: its space, devices, data, budget and training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import field_validator

from latency import Device
from nas.atomic_files import read_object
from nas.engine.folder.records import Record, parse_record
from nas.engine.folder.run_metadata import DataMetadata, DeviceMetadata, TeacherMetadata
from nas.searching.config import FidelityConfig
from nas.searching.from_scratch.overlap import OverlapMetadata
from nas.searching.from_scratch.warm_start import WarmStartMetadata
from nas.searching.latency_warmup import PowerLaw
from nas.searching.plan import Budget
from nas.searching.reward import Reward
from nas.searching.sizes import deployed_sizes
from nas.training.recipe import Recipe
from search_spaces import InputError, SearchSpace

if TYPE_CHECKING:
    from nas.data.images import Dataset

SpaceLabels = tuple[tuple[str, tuple[str, ...]], ...]


class TargetDevice(DeviceMetadata):
    """A further device of a search, with the target on it."""

    target_ms: float


class TrainingMetadata(Record):
    """How trials are trained.

    Attributes:
        by_recipe: Whether the recipe trains them, rather than an evaluator of the user's own.
        recipe: The recipe of a trial.
        finals_factor: How many times as long finalists train.
        deployed_part: Fraction of a finalist's steps at the deployed resolution; None if unknown.
        warm_start: The networks from whose weights trials start.
        weights_from: The network outside of the space with whose weights networks begin where they overlap.
        fidelity: Multi-fidelity settings; None if all candidates train at full length.
    """

    by_recipe: bool = True
    recipe: Recipe
    finals_factor: float
    deployed_part: float | None = None
    warm_start: tuple[WarmStartMetadata, ...] = ()
    weights_from: OverlapMetadata | None = None
    fidelity: FidelityConfig | None = None


class RivalMetadata(Record):
    """A network that the user named to compare with: its name, and a digest of its weights."""

    name: str
    weights: str


class PolicyMetadata(Record):
    """The policy that the controller began with: its run, and a digest of its weights."""

    run: str
    weights: str


class ParentMetadata(Record):
    """The network whose sub-networks are searched.

    Attributes:
        fingerprint: Its network's.
        weights: Digest of its weights, as given.
        recipe: How it was fine-tuned first; None if it was trained on these classes.
        final_recipe: How finalists train.
        ranking_images: Largest number of images that trials are ranked on, unless more are held out.
        rivals: The networks that the user named to compare with.
        narrowed: Whether NetAdapt's network is compared with, too.
        curve: Number of further latencies that are searched.
        temperature: Of the parent as teacher.
        teacher_weight: Of the teacher's part of the loss; 0 without a teacher.
    """

    fingerprint: str
    weights: str
    recipe: Recipe | None = None
    final_recipe: Recipe
    ranking_images: int = 0
    rivals: tuple[RivalMetadata, ...] = ()
    narrowed: bool = False
    curve: int = 0
    temperature: float
    teacher_weight: float

    @field_validator("rivals", mode="before")
    @classmethod
    def _listed(cls, rivals: Any) -> Any:
        """Take a mapping of names to digests too, which earlier versions wrote."""
        if isinstance(rivals, Mapping):
            return [{"name": name, "weights": digest} for name, digest in rivals.items()]
        return rivals


class SearchMetadata(Record):
    """What is searched, and how; fixed once anything has been prepared or trained.

    Attributes:
        space: Name of the search space.
        labels: Name of each decision and of its choices.
        device: The first device, whose latency is `latency` in the log.
        target_ms: The latency budget on it.
        other_devices: Further devices, in the order of a trial's latencies.
        budget: The amount of work.
        resolution: The deployed resolution; None in early runs, which recorded only the trials'.
        data: The images, at the trials' resolution.
        training: None in early runs with an evaluator of the user's own.
        controller: Name of the controller's class; empty if unknown.
        reward: None if it is the user's own.
        policy: The policy of another search that the controller began with, if any.
        latency_warmup: Latency law of each device; empty without latency-guided warm-up.
        teacher: The network that finalists learn from; None if they have only labels.
        resolutions: The deployed sizes, where resolution is searched.
        parent: The network whose sub-networks are searched; None in a search from scratch.
    """

    omitted: ClassVar[frozenset[str]] = frozenset({"reward", "resolutions", "parent"})

    space: str
    labels: SpaceLabels
    device: DeviceMetadata
    target_ms: float
    other_devices: tuple[TargetDevice, ...] = ()
    budget: Budget
    resolution: int | None = None
    data: DataMetadata
    training: TrainingMetadata | None = None
    controller: str = ""
    reward: Reward | None = None
    policy: PolicyMetadata | None = None
    latency_warmup: tuple[PowerLaw, ...] = ()
    teacher: TeacherMetadata | None = None
    resolutions: tuple[int, ...] | None = None
    parent: ParentMetadata | None = None

    @property
    def devices(self) -> tuple[TargetDevice, ...]:
        """All devices with their targets."""
        first = TargetDevice(**self.device.to_dict(), target_ms=self.target_ms)
        return (first, *self.other_devices)


def labels_of(space: SearchSpace) -> SpaceLabels:
    """Return the names of a space's decisions and choices."""
    return tuple((name, tuple(choices)) for name, choices in space.labels)


def search_metadata(
    space: SearchSpace,
    devices: Sequence[Device],
    data: Dataset,
    *,
    targets_ms: Sequence[float],
    budget: Budget,
    training: TrainingMetadata | None = None,
    controller: str = "",
    reward: object = None,
    policy: PolicyMetadata | None = None,
    latency_warmup: Sequence[PowerLaw] = (),
    teacher: TeacherMetadata | None = None,
    parent: ParentMetadata | None = None,
) -> SearchMetadata:
    """Describe a search; mean and deviation identify the training images.

    Args:
        space: The search space.
        devices: The first one's latency is `latency` in the log.
        data: The images.
        targets_ms: The target on each device.
        budget: The amount of work.
        training: How trials are trained.
        controller: Name of the controller's class.
        reward: Recorded if it is a `Reward`; a function of the user's own cannot be compared on resume.
        policy: The policy that the controller began with.
        latency_warmup: A latency law per device, if the controller is guided by them.
        teacher: The network that finalists learn from.
        parent: The network whose sub-networks are searched.
    """
    first, *others = (
        TargetDevice(**asdict(device), target_ms=ms)
        for device, ms in zip(devices, targets_ms, strict=True)
    )
    return SearchMetadata(
        space=space.name,
        labels=labels_of(space),
        device=DeviceMetadata.of(devices[0]),
        target_ms=first.target_ms,
        other_devices=tuple(others),
        budget=budget,
        resolution=max(deployed_sizes(space)),
        resolutions=_several(deployed_sizes(space)),
        data=DataMetadata.of(data),
        training=training,
        controller=controller,
        reward=reward if isinstance(reward, Reward) else None,
        policy=policy,
        latency_warmup=tuple(latency_warmup),
        teacher=teacher,
        parent=parent,
    )


def _several(sizes: tuple[int, ...]) -> tuple[int, ...] | None:
    return sizes if len(sizes) > 1 else None


def missing_keys(content: Mapping[str, Any]) -> list[str]:
    """Return the keys of `run.json` that every search has written and this content lacks."""
    fields = SearchMetadata.model_fields.items()
    return sorted(name for name, field in fields if field.is_required() and name not in content)


def read_search_metadata(path: Path) -> SearchMetadata:
    """Read the `run.json` of a search.

    Raises:
        InputError: The file is missing or damaged, or was not written by a search.
    """
    content = read_object(path, remedy="give the folder of a search that has begun")
    if missing := missing_keys(content):
        raise InputError(f"{path} lacks {', '.join(missing)}: it was not written by a search")
    return parse_record(SearchMetadata, content, where=path)
