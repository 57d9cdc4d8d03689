"""Every setting of a NetAdapt run: the schema of its `config.yaml`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from nas.adapting.defaults import FINAL_EPOCHS, TUNING_RATE
from nas.adapting.kinds import FINETUNE, SCRATCH, TRAININGS
from nas.data.config import DataConfig
from nas.engine.schedule_config import ScheduleConfig
from nas.training.recipe import Recipe
from nas.training.teacher_config import TeacherConfig
from netadapt import Settings, Widths
from netadapt.settings import TOLERANCE, Proposals

if TYPE_CHECKING:
    from netadapt.channel_selection import ChannelSelection

FINETUNE_STEPS = 10_000
"""T in MobileNetV3's use of NetAdapt (arXiv 1905.02244, section 4.2)."""

FINAL_SETTINGS = {"final", "final_recipe"}
"""Settings of the final trainings, which the steps do not depend on."""

_TUNING = Recipe(steps=FINETUNE_STEPS, learning_rate=TUNING_RATE)


class AdaptConfig(BaseModel):
    """All settings of a NetAdapt run.

    Attributes:
        device: The target device.
        target_ms: Target latency.
        delta: Minimum latency reduction of each step, as a fraction of the seed's latency. MobileNetV3's
            paper uses 0.01; 0.1 needs a tenth of the steps.
        decay: Factor applied to delta after each step.
        divisor: Widths are multiples of it.
        floor: Minimum width.
        proposals: What a step may reduce: `widths` (MobileNetV3's), or `widths+depth`, which also drops the
            last residual blocks of a stage.
        keep: Channels to keep: the `first` (MobileNetV3's truncation), those of largest L2 `norm`
            (NetAdapt's), or those that matter most to the loss to first order (`taylor`:
            `nas.checkpoints.importance`). None is `taylor` for a network of a search from a parent, and
            `first` for others.
        metric: `ratio` chooses by dACC / |dLAT|, `accuracy` by accuracy.
        ends: Whether stem and head may be narrowed too.
        tolerance: How far below the target the adapted network may end, as a fraction of it; if it ends
            further below, some width is restored. 1 never restores width.
        recipe: Fine-tuning of a proposal.
        final: Final training of the adapted network: from scratch (MobileNetV3's), by fine-tuning
            (NetAdapt's), both, or none.
        final_recipe: Recipe of the final trainings. Fine-tuning uses the learning rate of `recipe` unless
            this one's differs from the default.
        teacher: A network that the final trainings learn from beside the labels, those of baselines too;
            the path `seed` is the network that is narrowed.
        teach_proposals: Whether proposals learn from the teacher too.
        compare: Baseline to train alike: `uniform` is the seed at the uniform width multiplier of the
            same latency.
        compare_seeds: Trainings of the adapted network and of the baseline, with different seeds.
        data: The images; at the seed's resolution by default.
        schedule: Where trainings run.
        seed: Random seed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    device: str = "cpu"
    target_ms: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    delta: Annotated[float, Field(gt=0, lt=1)] = 0.1
    decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    divisor: Annotated[int, Field(ge=1)] = 8
    floor: Annotated[int, Field(ge=1)] = 8
    proposals: Proposals = "widths"
    keep: Literal["first", "norm", "taylor"] | None = None
    metric: Literal["ratio", "accuracy"] = "ratio"
    ends: bool = False
    tolerance: Annotated[float, Field(gt=0, le=1)] = TOLERANCE
    recipe: Recipe = _TUNING
    final: Literal["scratch", "finetune", "both", "none"] = "scratch"
    final_recipe: Recipe = Recipe(epochs=FINAL_EPOCHS)
    teacher: TeacherConfig | None = None
    teach_proposals: bool = False
    compare: Literal["none", "uniform"] = "none"
    compare_seeds: Annotated[int, Field(ge=2)] = 3
    data: DataConfig = DataConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    seed: Annotated[int, Field(ge=0)] = 0

    @field_validator("proposals", mode="before")
    @classmethod
    def _known(cls, proposals: object) -> object:
        if proposals not in get_args(Proposals):
            raise ValueError(
                f"must be {' or '.join(get_args(Proposals))}, got {proposals!r}: give widths+depth for "
                "shorter stages too"
            )
        return proposals

    @model_validator(mode="after")
    def _comparable(self) -> Self:
        if self.compare != "none" and self.final == "none":
            raise ValueError(
                f"compare is {self.compare!r}, but final 'none' trains nothing to compare: set final to "
                "scratch, finetune or both"
            )
        return self

    @model_validator(mode="after")
    def _taught(self) -> Self:
        if self.teach_proposals and self.teacher is None:
            raise ValueError(
                "teach_proposals is set, but there is no teacher: give one, or leave it out"
            )
        return self

    @model_validator(mode="after")
    def _one_crop(self) -> Self:
        crops = self.recipe.center_crop, self.final_recipe.center_crop
        if None not in crops and crops[0] != crops[1]:
            raise ValueError(
                f"recipe.center_crop is {crops[0]} and final_recipe.center_crop is {crops[1]}: give both "
                "the same, or one of them"
            )
        return self

    def for_seed(self, *, from_parent: bool) -> Self:
        """Return the settings for a seed, on which the default of `keep` depends."""
        if self.keep is not None:
            return self
        return self.model_copy(update={"keep": "taylor" if from_parent else "first"})

    @property
    def rule(self) -> ChannelSelection:
        """The rule by which channels are kept where they have no order of importance."""
        return "norm" if self.keep == "norm" else "first"

    @property
    def loop(self) -> Settings:
        """The settings of NetAdapt's loop."""
        return Settings(
            target_ms=self.target_ms,
            delta=self.delta,
            decay=self.decay,
            widths=Widths(self.divisor, self.floor),
            metric=self.metric,
            include_stem_and_head=self.ends,
            proposals=self.proposals,
            tolerance=self.tolerance,
        )

    def evaluation_crop(self, kept: float) -> float:
        """Return the fraction of the shorter side that evaluation sees; `kept` is the seed's."""
        return self.recipe.evaluation_crop(self.final_recipe.evaluation_crop(kept))

    @property
    def recipe_of_images(self) -> Recipe:
        """The recipe that training images are stored for: that of the larger crops.

        A training that only shifts images needs them at its own size.
        """
        both = self.recipe, self.final_recipe
        return max(both, key=lambda recipe: recipe.augment.crop_area)

    def settings(self) -> dict[str, Any]:
        """Return the settings that are fixed once a run has begun, except device, target and teacher."""
        free = {"device", "target_ms", "data", "schedule", "compare", "compare_seeds", "teacher"}
        return self.model_dump(mode="json", exclude=free | FINAL_SETTINGS)

    def final_settings(self) -> dict[str, Any]:
        """Return the settings that are fixed once final trainings have begun."""
        return self.model_dump(mode="json", include=FINAL_SETTINGS)

    @property
    def final_recipes(self) -> dict[str, Recipe]:
        """Recipe of each final training; trained weights need a lower learning rate."""
        recipe, rate = self.final_recipe, self.final_recipe.learning_rate
        if rate == Recipe().learning_rate:
            rate = self.recipe.learning_rate
        return {SCRATCH: recipe, FINETUNE: recipe.model_copy(update={"learning_rate": rate})}

    def final_trainings(self) -> tuple[str, ...]:
        """Return the final trainings to run."""
        return {"none": (), "both": TRAININGS}.get(self.final, (self.final,))
