"""Options of `nas compare`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from nas.cli.options.groups import OptionGroup, given
from nas.cli.options.run import FolderOptions
from nas.cli.options.schedule import ScheduleOptions
from nas.cli.options.task import HeadOptions
from nas.cli.train.options import RecipeOptions
from search_spaces import InputError


@dataclass(frozen=True, kw_only=True)
class ComparisonOptions(OptionGroup):
    """On which images and devices to compare, and how often to train."""

    data: Annotated[
        str | None,
        typer.Option(
            help="Folder of class folders or of images with boxes or masks, or a data set's name."
        ),
    ] = None
    device: Annotated[
        list[str] | None,
        typer.Option(help="Where latency is measured; may be repeated. Default: cpu."),
    ] = None
    resolution: Annotated[
        int | None,
        typer.Option(
            min=8,
            help="Side in pixels of all networks; default: each network's own, or the images' for a "
            "reference.",
        ),
    ] = None
    at_latency: Annotated[
        bool,
        typer.Option(
            "--at-latency",
            help="Replace every network that is slower than the first by two that are as fast: a narrower "
            "one, and itself on smaller images.",
        ),
    ] = False
    seeds: Annotated[int | None, typer.Option(help="Trainings of each network; 5.")] = None
    rates: Annotated[
        str | None,
        typer.Option(
            metavar="MULTIPLES",
            help="Multiples of the learning rate that each network is tried at; 0.5,1,2. Give 1 to try "
            "none but the recipe's.",
        ),
    ] = None
    random_seed: Annotated[
        int | None, typer.Option(min=0, help="Seed of the first training; 0.")
    ] = None

    def settings(self) -> dict[str, Any]:
        """Return the settings of `CompareConfig` that are given.

        Raises:
            InputError: The rates are not numbers.
        """
        return given(
            devices=tuple(self.device) if self.device else None,
            seeds=self.seeds,
            rates=None if self.rates is None else _numbers(self.rates),
            first_seed=self.random_seed,
        )


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(map(float, text.split(",")))
    except ValueError:
        raise InputError(f"--rates {text!r}: give numbers with commas, such as 0.5,1,2") from None


@dataclass(frozen=True, kw_only=True)
class CompareOptions(ComparisonOptions):
    """What to compare, on which images and devices."""

    networks: Annotated[
        list[str] | None,
        typer.Argument(
            help="Two or more: a run, a seed.pt, published weights, a .yaml spec, or a reference's name. "
            "All are compared with the first. Or one finished search from a parent, which is compared "
            "with its rivals.",
            show_default=False,
        ),
    ] = None
    as_searched: Annotated[
        bool,
        typer.Option(
            "--as-searched",
            help="Train all as the first network's search from a parent did, and compare with its rivals, "
            "too. Implied if that is the only network.",
        ),
    ] = False


@dataclass(frozen=True, kw_only=True)
class AblateOptions(ComparisonOptions):
    """Which ablation to run, on which images and devices; the last six apply to searches only."""

    ablation: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME|FILE",
            help="Of networks: components, kernels, multipliers, nonlinearities. Of searches: controllers, "
            "rewards. Or a YAML file like those.",
            show_default=False,
        ),
    ] = None
    device: Annotated[
        list[str] | None,
        typer.Option(
            metavar="DEVICE[=MS]",
            help="Where latency is measured; may be repeated. cpu=8 sets a search's target too. Default: "
            "cpu.",
        ),
    ] = None
    resolution: Annotated[
        int | None,
        typer.Option(
            min=8,
            help="Side in pixels of the networks whose entry has none; default: the images' own.",
        ),
    ] = None
    preset: Annotated[
        str | None, typer.Option(help="Searches: quick or standard, as of nas-search.")
    ] = None
    config: Annotated[
        Path | None, typer.Option(help="Searches: YAML file with settings, as of nas-search.")
    ] = None
    trials: Annotated[int | None, typer.Option(help="Searches: candidates of each.")] = None
    target_ms: Annotated[
        float | None, typer.Option(help="Searches: target latency in ms on one device.")
    ] = None
    parent: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE|RUN|NAME",
            help="Searches: trained network whose sub-networks are searched; default: mobilenet_v2.",
        ),
    ] = None
    from_scratch: Annotated[
        bool,
        typer.Option(
            "--from-scratch", help="Searches: begin from new weights, in MnasNet's space."
        ),
    ] = False


@dataclass(frozen=True, kw_only=True)
class CompareRecipeOptions(RecipeOptions):
    """How the networks are trained."""

    recipe: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            help="Recipe of all networks: proxy, paper, photos, finetune, detect, segment, or a YAML file. "
            "Default: detect for boxes, segment for masks; else finetune for trained weights, proxy from "
            "scratch.",
        ),
    ] = None


@dataclass(frozen=True)
class Asked:
    """All options of a comparison."""

    what: ComparisonOptions
    recipe: CompareRecipeOptions
    images: HeadOptions
    schedule: ScheduleOptions
    run: FolderOptions
