"""`nas profile`: build a latency lookup table of a space on a device."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from latency import Measured, MeasurementError, open_device
from latency.estimates.pieces import Piece, pieces
from latency.estimates.profile import Progress as Done
from latency.estimates.profile import calibrate, time_pieces
from latency.estimates.table_file import TableFile, new_header
from nas.cli.errors import Failed
from nas.cli.options.groups import OptionGroup, with_groups
from nas.cli.specs import Changes, open_spec
from nas.display.output import JsonFlag, command, messages, print_json, search_line
from nas.display.progress import progress_bar
from search_spaces import ArchSpec, ElasticSpace, InputError, SearchSpace, load_space
from search_spaces.shell import quoted

SPANNING = 3000
"""Random networks whose pieces are collected; they cover all pieces of MnasNet's space."""


@dataclass(frozen=True, kw_only=True)
class SpaceOptions(OptionGroup):
    """The space to profile."""

    space: Annotated[str, typer.Option(help="mnasnet, or a YAML file with your own space.")] = (
        "mnasnet"
    )
    resolution: Annotated[int, typer.Option(help="Input side in pixels.")] = 224
    classes: Annotated[int, typer.Option(help="Number of classes.")] = 1000


@dataclass(frozen=True, kw_only=True)
class NetworkOptions(OptionGroup):
    """The networks to time, in pieces or as a whole."""

    panel = "Networks to time"

    networks: Annotated[
        int | None,
        typer.Option(
            help="Time only the pieces of this many random networks; default: all pieces."
        ),
    ] = None
    also: Annotated[
        list[str] | None,
        typer.Option(help="Also time the pieces of this network; may be repeated."),
    ] = None
    fitted: Annotated[
        int, typer.Option(min=2, help="Number of whole networks to calibrate on.")
    ] = 20
    held_out: Annotated[
        int, typer.Option(min=2, help="Number of whole networks to estimate the error on.")
    ] = 30
    seed: Annotated[int, typer.Option(min=0, help="Random seed for sampling networks.")] = 0


@dataclass(frozen=True, kw_only=True)
class FileOptions(OptionGroup):
    """The file to write."""

    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="File to write; default: DEVICE-SPACE-PX.jsonl."),
    ] = None
    resume: Annotated[bool, typer.Option("--resume", help="Continue an unfinished file.")] = False


@with_groups
def profile(
    *,
    device: Annotated[str, typer.Option(help="Device to measure on (see nas devices).")] = "cpu",
    space: SpaceOptions,
    networks: NetworkOptions,
    file: FileOptions,
    as_json: JsonFlag = False,
) -> None:
    """Time every distinct piece of a space on a device, and calibrate the sum on whole networks."""
    known = load_space(space.space, resolution=space.resolution, classes=space.classes)
    source = open_device(device)
    if not isinstance(source, Measured):
        raise InputError(
            f"device {device} estimates latency: profile one that measures, such as cpu"
        )
    default = f"{device.partition(':')[0]}-{known.name}-{space.resolution}.jsonl"
    path = file.output or Path(default)
    if path.exists() and not file.resume:
        raise InputError(f"{path} exists: continue it with --resume, or choose another --output")
    draw = random.Random(networks.seed)
    whole = [
        _random(known, draw, space.resolution) for _ in range(networks.fitted + networks.held_out)
    ]
    wanted = _wanted(known, draw, whole, networks.networks)
    for name in networks.also or ():
        wanted += pieces(open_spec(name, Changes(space.resolution, space.classes)))
    table = TableFile(path, new_header(source, space=known.name, resolution=space.resolution))
    console = messages()
    distinct = len({piece.key for piece in wanted})
    console.print(
        f"{path}: timing {distinct} pieces of {known.name} at {space.resolution} px ({len(table.entries)} "
        f"already done), then {len(whole)} whole networks, on {source.device.name}",
        soft_wrap=True,
    )
    with _resumable(path, console), progress_bar(console) as bar:
        task = bar.add_task("pieces", total=distinct)

        def tell(at: Done) -> None:
            bar.update(task, description=at.what, completed=at.done, total=at.total)

        time_pieces(source, wanted, table, on_progress=tell)
        fitted, held_out = whole[: networks.fitted], whole[networks.fitted :]
        found = calibrate(source, fitted, held_out, table, on_progress=tell)
    if as_json:
        print_json({"path": str(path), "pieces": len(table.entries), **vars(found)})
        return
    size = "--resolutions" if isinstance(known, ElasticSpace) else "--resolution"
    search = f"--space {quoted(space.space)} {size} {space.resolution} --device {quoted(f'table:{path}')}"
    console.print(
        f"{path}: {len(table.entries)} pieces; on {networks.held_out} held-out networks: mean error "
        f"{100 * found.mape:.1f}%, Kendall's tau {found.tau:.2f}, {100 * found.within_10:.0f}% within 10%\n"
        f"next: {search_line(search)}",
        soft_wrap=True,
    )


@contextmanager
def _resumable(path: Path, console: Console) -> Iterator[None]:
    """Print how to resume if timing fails or is interrupted.

    Raises:
        Failed: The device failed.
    """
    try:
        yield
    except (MeasurementError, KeyboardInterrupt) as error:
        console.print(
            f"to resume: {command(f'profile --resume -o {quoted(path)}')} with the same options",
            soft_wrap=True,
        )
        if isinstance(error, MeasurementError):
            raise Failed(str(error)) from error
        raise


def _wanted(
    space: SearchSpace, draw: random.Random, whole: list[ArchSpec], networks: int | None
) -> list[Piece]:
    number = SPANNING if networks is None else networks
    px = whole[0].resolution
    return [
        p
        for spec in [*whole, *(_random(space, draw, px) for _ in range(number))]
        for p in pieces(spec)
    ]


def _random(space: SearchSpace, draw: random.Random, px: int) -> ArchSpec:
    spec = space.decode(tuple(draw.randrange(arity) for arity in space.arities))
    return replace(spec, resolution=px)  # a table has one, and a space may have several
