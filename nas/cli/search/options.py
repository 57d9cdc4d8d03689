"""The options of `nas-search`, in groups."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from nas.cli.options.groups import OptionGroup, given
from nas.cli.options.run import RunOptions
from nas.cli.options.schedule import ScheduleOptions
from nas.cli.options.task import HeadOptions
from nas.cli.teachers import TeacherWeightOption, TemperatureOption, checked_teacher
from nas.formatting import seconds
from search_spaces import InputError
from search_spaces.spaces.elastic_file import ElasticFile


@dataclass(frozen=True, kw_only=True)
class TargetOptions(OptionGroup):
    """What to search, for which device, on which images."""

    space: Annotated[
        str | None,
        typer.Option(
            help="Space to search: mnasnet or a YAML file of your own, from scratch; or a YAML file of a "
            "parent's sub-networks."
        ),
    ] = None
    target_ms: Annotated[
        float | None,
        typer.Option(
            help="Target latency in ms on one device; default: half of the parent's latency, or "
            "MobileNetV3-Large's from scratch."
        ),
    ] = None
    device: Annotated[
        list[str] | None,
        typer.Option(
            metavar="DEVICE[=MS]",
            help="cpu (this machine), pixel1, ... (see nas devices); cpu=8 sets its target too. Repeat the "
            "option for several devices. adb:SERIAL+SERIAL and adb:all are pools of equal phones.",
        ),
    ] = None
    data: Annotated[
        str | None,
        typer.Option(
            help="Folder of class folders or of images with boxes or masks, or name of a torchvision data "
            "set; default: embedded images."
        ),
    ] = None
    resolution: Annotated[
        int | None,
        typer.Option(
            help="Input side in pixels of the deployed network; default: the images' own size, at most 224."
        ),
    ] = None
    proxy_resolution: Annotated[
        int | None,
        typer.Option(
            help="Side in pixels at which candidates train; default: the images' own, at most the "
            "deployed. Above the images' own it is the deployed size as well, unless --resolution is given."
        ),
    ] = None

    parent: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE|RUN|NAME",
            help="Trained network whose sub-networks are searched, from its weights: a file of nas import, "
            "or a published name (default: mobilenet_v2, which is in the package). With a --space of its "
            "own: the network whose weights the space's networks begin with, where they overlap.",
        ),
    ] = None
    from_scratch: Annotated[
        bool,
        typer.Option(
            "--from-scratch",
            help="Begin from new weights, in MnasNet's space; so do --space (unless its file has a "
            "parent), --warm-start, --preset paper.",
        ),
    ] = False
    resolutions: Annotated[
        str | None,
        typer.Option(
            metavar="PX,PX,...",
            help="With --parent: sides of the input to choose from; default: --resolution, and sides "
            "down to half of it.",
        ),
    ] = None

    rival: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE|RUN|NAME",
            help="With --parent: a trained network to compare the result with, fine-tuned alike; may be "
            "repeated.",
        ),
    ] = None

    with_netadapt: Annotated[
        bool,
        typer.Option(
            "--with-netadapt",
            help="With --parent: also compare with the parent narrowed by NetAdapt to the target.",
        ),
    ] = False
    curve: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="With --parent: also search and train the best network at N further latencies, between "
            "the parent's and a quarter of it.",
        ),
    ] = None

    def settings(self) -> dict[str, Any]:
        """Return the settings given.

        Raises:
            InputError: Two options exclude each other, or one is not a list of sides.
        """
        scratch = self.from_scratch or (
            self.space is not None and ElasticFile.read(self.space) is None
        )
        given_here = given(
            rival=self.rival and self.rival[0],
            curve=self.curve,
            **{"with-netadapt": self.with_netadapt},
        )
        if given_here and scratch:
            name, value = next(iter(given_here.items()))
            shown = "" if value is True else f" {value}"
            raise InputError(
                f"--{name}{shown} applies to a search from a parent, and this one begins from scratch: "
                "leave it out"
            )
        if self.resolutions is not None and scratch:
            raise InputError(
                f"--resolutions {self.resolutions} applies to a search from a parent, and this one begins "
                "from scratch: give one --resolution"
            )
        if self.parent is not None and self.from_scratch:
            raise InputError(
                f"--parent {self.parent} and --from-scratch exclude each other: give one of them"
            )
        return given(
            parent=given(
                path=None if self.parent is None else str(self.parent),
                resolutions=sides(self.resolutions),
                rivals=[str(path) for path in self.rival or []],
                curve=self.curve,
                with_netadapt=self.with_netadapt,
            ),
            space=self.space,
            target_ms=self.target_ms,
            device=self.device,
            resolution=self.resolution,
            data=given(source=self.data, proxy_resolution=self.proxy_resolution),
        )


DEFAULT_PARENT = "mobilenet_v2"
"""Of a search that does not say how it begins: the weights in the package."""


def sides(text: str | None) -> list[int] | None:
    """Parse a list of sides in pixels.

    >>> sides("96,128")
    [96, 128]

    Raises:
        InputError: A part is not a number.
    """
    if text is None:
        return None
    parts = text.split(",")
    for part in parts:
        if not part.strip().isdecimal():
            raise InputError(
                f"--resolutions {text}: {part!r} is not a side in pixels: give numbers, such as 96,128,160"
            )
    return [int(part) for part in parts]


@dataclass(frozen=True, kw_only=True)
class ProcedureOptions(OptionGroup):
    """How to search, and for how long."""

    panel = "Search"

    preset: Annotated[
        str | None,
        typer.Option(
            help="quick (minutes), standard (an hour or more; the default), or paper (plain REINFORCE)."
        ),
    ] = None
    config: Annotated[
        Path | None, typer.Option(help="YAML file with settings, such as a run's config.yaml.")
    ] = None
    trials: Annotated[
        int | None,
        typer.Option(
            help="Number of candidates; 60 by default, 24 with quick; 100 and 16 from scratch."
        ),
    ] = None
    budget: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Wall time of the whole run, for instance 45m or 1h30m; replaces --trials.",
        ),
    ] = None
    batch_size: Annotated[
        int | None,
        typer.Option(help="Candidates per controller update; 10 by default, 4 with quick."),
    ] = None
    warm_start: Annotated[
        list[Path] | None,
        typer.Option(
            help="A seed.pt of the space to initialize trials from; if repeated, the most similar is used."
        ),
    ] = None
    fidelity: Annotated[
        float | None,
        typer.Option(
            metavar="FRACTION",
            help="Train all candidates for this fraction of the steps, then the better half in full.",
        ),
    ] = None
    controller: Annotated[
        str | None,
        typer.Option(help="screened (default), rnn, evolution, uniform, or a plug-in's name."),
    ] = None
    proposals: Annotated[
        int | None,
        typer.Option(
            help="Networks that the screened controller rates per batch, and per round of mutation; 200."
        ),
    ] = None
    policy: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE|RUN",
            help="For rnn and screened: begin with the policy of an earlier search of the same space, on "
            "other data, another device or target; a run, or its policy.pt.",
        ),
    ] = None
    teacher: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE|RUN",
            help="Trained network of the same classes that finalists learn from as well; trials, which are "
            "short, do not.",
        ),
    ] = None
    temperature: TemperatureOption = None
    teacher_weight: TeacherWeightOption = None
    random_seed: Annotated[int | None, typer.Option(help="Seed of all randomness; 0.")] = None
    seed: Annotated[int | None, typer.Option(hidden=True)] = None  # its former name

    def require_one_end(self) -> None:
        """Check that the search has one end.

        Raises:
            InputError: A number of trials and a time are given.
        """
        if self.budget is not None and self.trials is not None:
            raise InputError(
                "--trials and --budget both say when the search ends: give one of them"
            )

    def settings(self) -> dict[str, Any]:
        """Return the settings given; a number of trials replaces the time budget of a file.

        Raises:
            InputError: The budget is not a time, or a teacher's setting is invalid.
        """
        settings = given(
            trials=self.trials,
            budget_s=self.budget and seconds(self.budget),
            batch_size=self.batch_size,
            warm_start=[str(path) for path in self.warm_start or []],
            fidelity=given(first=self.fidelity),
            teacher=checked_teacher(self.teacher, self.temperature, self.teacher_weight),
            controller=given(
                name=self.controller,
                options=given(proposals=self.proposals),
                policy=None if self.policy is None else str(self.policy),
            ),
            seed=self.seed if self.random_seed is None else self.random_seed,
        )
        return settings if self.trials is None else settings | {"budget_s": None}


@dataclass(frozen=True, kw_only=True)
class SearchRunOptions(RunOptions):
    """The run's folder, and what to do with it and to print."""

    run_name: Annotated[
        str | None, typer.Option(help="Name of the run's folder; default: SPACE-DATE-TIME.")
    ] = None
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Print the plan and its cost (with --resume: the progress), then exit.",
        ),
    ] = False
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Print more details of the search.")
    ] = False


MAY_CHANGE = frozenset(
    [
        "workers",
        "cpus_per_trial",
        "gpus_per_trial",
        "ray_address",
        "resume",
        "dry_run",
        "verbose",
        "as_json",
        "skip_bad_images",
        "max_megapixels",
        "accept_data_changes",
    ]
)
"""Options that can be combined with `--resume`."""


def search_overrides(
    target: TargetOptions,
    procedure: ProcedureOptions,
    images: HeadOptions,
    schedule: ScheduleOptions,
) -> dict[str, Any]:
    """Return the settings that options change, for `nas.searching.presets.make_config`.

    Raises:
        InputError: Two options exclude each other, or a value is invalid.
    """
    settings = target.settings() | procedure.settings()
    data = settings.get("data", {}) | images.settings()
    return settings | given(data=data, head=images.head, schedule=schedule.settings())
