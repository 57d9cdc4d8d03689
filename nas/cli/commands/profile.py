"""`nas profile`: build a latency lookup table of a space on a device."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from latency import Measured, MeasurementError, open_device
from latency.estimates.pieces import Piece, pieces
from latency.estimates.profile import Progress as Done
from latency.estimates.profile import calibrate, time_pieces
from latency.estimates.table_file import TableFile, new_header
from nas.cli.errors import Failed
from nas.cli.specs import Changes, open_spec
from nas.display.output import JsonFlag, command, messages, print_json, search_line
from search_spaces import ArchSpec, FactorizedSpace, InputError, load_space
from search_spaces.shell import quoted

SPANNING = 3000
"""Random networks whose pieces are collected; they cover all pieces of MnasNet's space."""


def profile(
    device: Annotated[str, typer.Option(help="Device to measure on (see nas devices).")] = "cpu",
    space: Annotated[
        str, typer.Option(help="mnasnet, or a YAML file with your own space.")
    ] = "mnasnet",
    resolution: Annotated[int, typer.Option(help="Input side in pixels.")] = 224,
    classes: Annotated[int, typer.Option(help="Number of classes.")] = 1000,
    networks: Annotated[
        int | None,
        typer.Option(
            help="Time only the pieces of this many random networks; default: all pieces."
        ),
    ] = None,
    also: Annotated[
        list[str] | None,
        typer.Option(help="Also time the pieces of this network; may be repeated."),
    ] = None,
    fitted: Annotated[
        int, typer.Option(min=2, help="Number of whole networks to calibrate on.")
    ] = 20,
    held_out: Annotated[
        int, typer.Option(min=2, help="Number of whole networks to estimate the error on.")
    ] = 30,
    seed: Annotated[int, typer.Option(min=0, help="Random seed for sampling networks.")] = 0,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="File to write; default: DEVICE-SPACE-PX.jsonl."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue an unfinished file.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Time every distinct piece of a space on a device, and calibrate the sum on whole networks."""
    known = load_space(space, resolution=resolution, classes=classes)
    source = open_device(device)
    if not isinstance(source, Measured):
        raise InputError(
            f"device {device} estimates latency: profile one that measures, such as cpu"
        )
    path = output or Path(f"{device.partition(':')[0]}-{known.name}-{resolution}.jsonl")
    if path.exists() and not resume:
        raise InputError(f"{path} exists: continue it with --resume, or choose another --output")
    draw = random.Random(seed)
    whole = [_random(known, draw) for _ in range(fitted + held_out)]
    wanted = _wanted(known, draw, whole, networks)
    for name in also or ():
        wanted += pieces(open_spec(name, Changes(resolution, classes)))
    table = TableFile(path, new_header(source, space=known.name, resolution=resolution))
    console = messages()
    distinct = len({piece.key for piece in wanted})
    console.print(
        f"{path}: timing {distinct} pieces of {known.name} at {resolution} px ({len(table.entries)} "
        f"already done), then {len(whole)} whole networks, on {source.device.name}",
        soft_wrap=True,
    )
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
    )
    with Progress(*columns, TimeRemainingColumn(), console=console) as bar:
        task = bar.add_task("pieces", total=distinct)

        def tell(at: Done) -> None:
            bar.update(task, description=at.what, completed=at.done, total=at.total)

        try:
            time_pieces(source, wanted, table, on_progress=tell)
            found = calibrate(source, whole[:fitted], whole[fitted:], table, on_progress=tell)
        except (MeasurementError, KeyboardInterrupt) as error:
            bar.stop()
            console.print(
                f"to resume: {command(f'profile --resume -o {quoted(path)}')} with the same options",
                soft_wrap=True,
            )
            if isinstance(error, MeasurementError):
                raise Failed(str(error)) from error
            raise
    if as_json:
        print_json({"path": str(path), "pieces": len(table.entries), **vars(found)})
        return
    device_typed = quoted(f"table:{path}")
    console.print(
        f"{path}: {len(table.entries)} pieces; on {held_out} held-out networks: mean error "
        f"{100 * found.mape:.1f}%, Kendall's tau {found.tau:.2f}, {100 * found.within_10:.0f}% within 10%\n"
        f"next: {search_line(f'--device {device_typed}')}",
        soft_wrap=True,
    )


def _wanted(
    space: FactorizedSpace, draw: random.Random, whole: list[ArchSpec], networks: int | None
) -> list[Piece]:
    number = SPANNING if networks is None else networks
    return [
        p for spec in [*whole, *(_random(space, draw) for _ in range(number))] for p in pieces(spec)
    ]


def _random(space: FactorizedSpace, draw: random.Random) -> ArchSpec:
    return space.decode(tuple(draw.randrange(arity) for arity in space.arities))
