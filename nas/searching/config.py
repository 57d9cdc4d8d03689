"""All settings of a search: the schema of `--config FILE.yaml` and of a run's `config.yaml`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    Field,
    ValidationError,
    model_validator,
)

from nas.data.config import DataConfig
from nas.engine.schedule_config import ScheduleConfig
from nas.schema import SETTINGS, Counted, Positive
from nas.searching.latency_warmup import PowerLaw
from nas.searching.reward import Reward
from nas.searching.sizes import Sizes
from nas.searching.targets import with_targets
from nas.training.named_recipes import read_recipe
from nas.training.recipe import Recipe
from nas.training.teacher_config import TeacherConfig
from search_spaces.errors import InputError, first_problem
from search_spaces.spec import read_yaml

SCHEMA = 1


class ControllerConfig(BaseModel):
    """The controller that proposes candidates.

    Attributes:
        name: Its name.
        options: Its options by name.
        policy: The policy that it begins with: a run's `policy.pt`, or a run.
    """

    model_config = SETTINGS

    name: str = "screened"
    options: dict[str, Any] = {}
    policy: str | None = None


def _named(given: object) -> object:
    """Accept `controller: evolution` for one without options."""
    return {"name": given} if isinstance(given, str) else given


class FinalsConfig(BaseModel):
    """What follows the trials.

    Attributes:
        count: Candidates trained longer; the best of them within the target wins.
        epochs_factor: How much longer.
        deployed_part: Last fraction of a finalist's steps that use the deployed resolution, if trials use
            another (Touvron et al. 2019: weights fit the resolution that they were last trained at).
        repeats: Number of the run's first trials to train again with other seeds, to estimate how much of
            the difference between candidates is noise.
        recipe: How finalists of a search from a parent train, and their rivals; `epochs_factor` then
            follows from it.
    """

    model_config = SETTINGS

    count: Positive = 3
    epochs_factor: Annotated[float, Field(gt=0)] = 4.0
    deployed_part: Annotated[float, Field(gt=0, le=1)] = 0.25
    repeats: Counted = 4
    recipe: Recipe | None = None

    def as_it_trains(self, trial: Recipe, *, train_images: int) -> FinalsConfig:
        """Return the settings with the length of `recipe`, if there is one, in trials.

        >>> finals = FinalsConfig(recipe=Recipe(steps=300, batch_size=32))
        >>> finals.as_it_trains(Recipe(steps=100, batch_size=64), train_images=1000).epochs_factor
        1.5
        """
        if self.recipe is None:
            return self
        long, short = (
            recipe.total_steps(train_images) * recipe.batch_size for recipe in (self.recipe, trial)
        )
        return self.model_copy(update={"epochs_factor": long / short})

    def work(self, sizes: Sizes) -> float:
        """Return the cost of a finalist relative to a trial, its last part on more pixels.

        >>> FinalsConfig(epochs_factor=4, deployed_part=0.25).work(Sizes(64, 128))
        7.0
        """
        pixels = (sizes.deployed_px / sizes.proxy_px) ** 2
        return self.epochs_factor * (1 + self.deployed_part * (pixels - 1))


class FidelityConfig(BaseModel):
    """Multi-fidelity: train candidates for a fraction of the length first; see `nas.searching.fidelity`.

    Attributes:
        first: That fraction; 0, in a search from a parent, only looks: a candidate's batch norm statistics
            are taken anew, and nothing is trained.
        keep: Fraction of each batch that then trains at full length.
    """

    model_config = SETTINGS

    first: Annotated[float, Field(ge=0, lt=1)] = 0.25
    keep: Annotated[float, Field(gt=0, le=1)] = 0.5


class LatencyWarmupConfig(BaseModel):
    """Latency-guided warm-up (`nas.searching.latency_warmup`).

    Attributes:
        laws: Estimated latency on each device; empty until the plan has fitted them.
    """

    model_config = SETTINGS

    laws: tuple[PowerLaw, ...] = ()


class ParentConfig(BaseModel):
    """The pretrained network whose sub-networks are searched.

    Attributes:
        path: Its checkpoint.
        resolutions: Sides of the input to choose from; None takes multiples of the network's stride, from
            half of `SearchConfig.resolution` up to it.
        recipe: How it is fine-tuned first, if it was trained on other classes.
        rivals: Checkpoints of further networks to compare finalists with, fine-tuned like them.
        ranking_images: Images to rank trials on: those held out, and as many training images as are
            missing; see `nas.searching.from_parent.set_aside`.
        with_netadapt: Whether to compare with NetAdapt's network from the parent, too.
        curve: Number of further latencies, between the parent's and a quarter of it, at which the best
            sub-network is searched and trained too.
        temperature: Of the parent as teacher: see `nas.training.teacher_config.TeacherConfig`.
        teacher_weight: See there; 0 trains without a teacher.
    """

    model_config = SETTINGS

    path: str
    resolutions: tuple[Annotated[int, Field(ge=8)], ...] | None = None
    recipe: Recipe = Field(default_factory=lambda: read_recipe("finetune"))
    rivals: tuple[str, ...] = ()
    ranking_images: Counted = 1000
    with_netadapt: bool = False
    curve: Counted = 0
    temperature: Annotated[float, Field(gt=0)] = 2.0
    teacher_weight: Annotated[float, Field(ge=0, le=1)] = 0.5


class SearchConfig(BaseModel):
    """All settings of a search.

    Attributes:
        preset: The preset that the settings are based on.
        space: A built-in space, or a YAML file.
        device: The target device, or several with their targets: see docs/how-to/devices.md.
        target_ms: The latency budget; None uses MobileNetV3-Large's on the device. Must be None for several
            devices.
        resolution: Resolution in pixels at which the network is deployed: measured, finally trained, tested
            and exported. None uses the images' own.
        trials: Number of candidates to train.
        budget_s: Wall time of the whole search in seconds; `trials` is then ignored.
        batch_size: Candidates per controller update.
        warm_start: Checkpoints of networks of the space, from whose weights trials start.
        weights_from: A trained network outside of the space: trials and finalists begin with its weights
            where they overlap. A checkpoint, or a published name.
        seed: Random seed.
        latency_warmup: None disables latency-guided warm-up.
        fidelity: Multi-fidelity settings; None trains all candidates at full length.
        teacher: A network that finalists learn from beside the labels; trials do not.
        parent: A pretrained network whose sub-networks are searched; None searches `space` from scratch.
        head: Name of the head for boxes or masks, of classifiers that are given and of the networks of
            `space`: see docs/explanation/dense-heads.md. None takes the task's.
    """

    model_config = SETTINGS

    preset: str = "standard"
    space: str = "mnasnet"
    device: str | dict[str, float] = "cpu"
    target_ms: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    resolution: Annotated[int, Field(ge=8)] | None = None
    trials: Positive = 100
    budget_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    batch_size: Positive = 10
    warm_start: tuple[str, ...] = ()
    weights_from: str | None = None
    seed: Annotated[int, Field(ge=0)] = 0
    controller: Annotated[ControllerConfig, BeforeValidator(_named)] = ControllerConfig()
    latency_warmup: LatencyWarmupConfig | None = LatencyWarmupConfig()
    reward: Reward = Reward()
    data: DataConfig = DataConfig()
    recipe: Recipe = Recipe()
    fidelity: FidelityConfig | None = None
    finals: FinalsConfig = FinalsConfig()
    teacher: TeacherConfig | None = None
    parent: ParentConfig | None = None
    head: str | None = None
    schedule: ScheduleConfig = ScheduleConfig()

    @model_validator(mode="before")
    @classmethod
    def _devices(cls, given: Any) -> Any:
        return with_targets(given) if isinstance(given, Mapping) else given

    @model_validator(mode="after")
    def _look_needs_weights(self) -> Self:
        if self.parent is None and self.fidelity is not None and self.fidelity.first == 0:
            raise ValueError(
                "fidelity.first must be above 0 in a search from scratch, got 0: it takes inherited weights"
            )
        return self

    @model_validator(mode="after")
    def _one_beginning(self) -> Self:
        other = "warm_start" if self.warm_start else "parent.path" if self.parent else None
        if self.weights_from is not None and other is not None:
            raise ValueError(
                f"{other} does not apply with weights_from {self.weights_from} (--parent with --space), "
                "which says what networks begin with: leave one of them out"
            )
        return self

    @property
    def sizes(self) -> Sizes:
        """The trials' resolution and the deployed one.

        Raises:
            ValueError: They are not determined yet: their defaults depend on the images.
        """
        if self.resolution is None or self.data.proxy_resolution is None:
            raise ValueError(
                "the resolutions are determined once the images are known: see nas.searching.sizes"
            )
        several = self.parent is not None and len(self.parent.resolutions or ()) > 1
        return Sizes(self.data.proxy_resolution, self.resolution, searched=several)

    def with_sizes(self, sizes: Sizes) -> Self:
        """Return the settings with both resolutions."""
        data = self.data.model_copy(update={"proxy_resolution": sizes.proxy_px})
        return self.model_copy(update={"resolution": sizes.deployed_px, "data": data})

    @property
    def targets(self) -> dict[str, float | None]:
        """Each device's target in milliseconds; None if it is still to be determined."""
        if isinstance(self.device, str):
            return {self.device: self.target_ms}
        return {**self.device}

    @property
    def targets_ms(self) -> tuple[float, ...]:
        """The known targets in milliseconds, in the order of the devices."""
        return tuple(ms for ms in self.targets.values() if ms is not None)


def parse_config(data: object, *, where: str) -> SearchConfig:
    """Parse settings from plain data.

    Raises:
        InputError: See `make_config`; the message begins with `where`.
    """
    try:
        return SearchConfig.model_validate(data)
    except ValidationError as error:
        raise InputError(f"{where}: {first_problem(error)}") from error


def load_config(path: Path) -> SearchConfig:
    """Read the settings in a run's folder."""
    return parse_config(as_begun(read_settings(path)), where=str(path))


def as_begun(settings: dict[str, Any]) -> dict[str, Any]:
    """Return a run's settings; runs that do not say how images were held out did it at random.

    >>> as_begun({"data": {"source": "photos"}})["data"]["split_by"]
    'random'
    """
    data = settings.get("data")
    if not isinstance(data, Mapping):
        return settings
    return {**settings, "data": {"split_by": "random", **data}}


def config_yaml(config: SearchConfig) -> str:
    """Return the settings as YAML."""
    data = {"schema": SCHEMA} | config.model_dump(mode="json")
    return str(yaml.safe_dump(data, sort_keys=False))


def read_settings(path: Path) -> dict[str, Any]:
    """Read a file of settings, without its schema.

    Raises:
        InputError: It cannot be read, or is of another version.
    """
    data = read_yaml(path)
    if data is None:  # an empty file, or only comments
        return {}
    if not isinstance(data, dict):
        raise InputError(f"{path}: expected keys and values, got {type(data).__name__}")
    version = data.pop("schema", SCHEMA)
    if version != SCHEMA:
        raise InputError(f"{path}: schema must be {SCHEMA}, got {version!r}: not of this version")
    return data
