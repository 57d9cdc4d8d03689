"""Every setting of a NetAdapt run: the schema of its `config.yaml`."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from nas.data.config import DataConfig
from nas.engine.schedule_config import ScheduleConfig
from nas.training.recipe import Recipe
from netadapt.settings import TOLERANCE

FINETUNE_STEPS = 10_000
"""T of MobileNetV3's NetAdapt (arXiv 1905.02244, section 4.2)."""

LAST = {"final", "final_recipe"}
"""Settings of the last trainings, which no step depends on."""

_TUNING = Recipe(steps=FINETUNE_STEPS, learning_rate=1e-3)


class AdaptConfig(BaseModel):
    """A whole NetAdapt run.

    Attributes:
        device: What latency is told for.
        target_ms: Where to end.
        delta: Part of the seed's latency that each step saves at least. The published text of
            MobileNetV3 has 0.01; a tenth of the steps do with 0.1.
        decay: What delta is multiplied by after each step.
        divisor: Widths are multiples of it.
        floor: No width is below it.
        keep: Which channels stay: the first (MobileNetV3's truncation), or those of largest L2 norm
            (NetAdapt's).
        metric: `ratio` chooses by dACC / |dLAT|, `accuracy` by accuracy.
        ends: Whether stem and head are narrowed too.
        tolerance: Part of the target that the last network may stay below it: one that ends further below
            is given back some width. 1 never gives back.
        recipe: Of a proposal's fine-tuning.
        final: How the last network is trained: from scratch (MobileNetV3's), on from its weights
            (NetAdapt's), both side by side, or not at all.
        final_recipe: How long and how. On from its weights it takes the learning rate of `recipe`, unless
            another than the default is given here.
        compare: What the last network is set beside, trained alike: `uniform` is the seed at the uniform
            width multiplier of the same latency.
        compare_seeds: Trainings of each of the two, with different seeds.
        data: The images; the seed's own size by default.
        schedule: Where trainings run.
        seed: Of everything random.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    device: str = "cpu"
    target_ms: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    delta: Annotated[float, Field(gt=0, lt=1)] = 0.1
    decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    divisor: Annotated[int, Field(ge=1)] = 8
    floor: Annotated[int, Field(ge=1)] = 8
    keep: Literal["first", "norm"] = "first"
    metric: Literal["ratio", "accuracy"] = "ratio"
    ends: bool = False
    tolerance: Annotated[float, Field(gt=0, le=1)] = TOLERANCE
    recipe: Recipe = _TUNING
    final: Literal["scratch", "finetune", "both", "none"] = "scratch"
    final_recipe: Recipe = Recipe(epochs=30)
    compare: Literal["none", "uniform"] = "none"
    compare_seeds: Annotated[int, Field(ge=2)] = 3
    data: DataConfig = DataConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    seed: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _comparable(self) -> Self:
        if self.compare != "none" and self.final == "none":
            raise ValueError(
                f"compare is {self.compare!r}, but final 'none' trains nothing to compare: set final to "
                "scratch, finetune or both"
            )
        return self

    def settings(self) -> dict[str, Any]:
        """What a run cannot change once it has begun, but for its device and target, as plain data."""
        free = {"device", "target_ms", "data", "schedule", "compare", "compare_seeds"}
        return self.model_dump(mode="json", exclude=free | LAST)

    def last(self) -> dict[str, Any]:
        """What a run cannot change once its last trainings have begun, as plain data."""
        return self.model_dump(mode="json", include=LAST)

    @property
    def final_recipes(self) -> dict[str, Recipe]:
        """The recipe of each kind of last training: what has been trained needs a lower rate."""
        recipe, rate = self.final_recipe, self.final_recipe.learning_rate
        if rate == Recipe().learning_rate:
            rate = self.recipe.learning_rate
        return {"scratch": recipe, "finetune": recipe.model_copy(update={"learning_rate": rate})}

    def finals(self) -> tuple[str, ...]:
        """The kinds of last training."""
        return {"none": (), "both": ("scratch", "finetune")}.get(self.final, (self.final,))
