"""`nas measure`: latencies of networks on a device."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.table import Table

from latency import Cached, Device, Latency, LatencySource, MeasurementError, open_device
from nas.cli.output import JsonFlag, messages, print_json, results
from nas.cli.specs import Changes, ResolutionOption, open_spec
from nas.readable import interval, three_digits
from search_spaces import ArchSpec, InputError


def measure(
    specs: Annotated[
        list[str], typer.Argument(help=".yaml specs, seed files or references' names.")
    ],
    device: Annotated[
        str, typer.Option(help="cpu, madds:RATE (G MAdds/s), or a plug-in's.")
    ] = "cpu",
    resolution: ResolutionOption = None,
    cache: Annotated[bool, typer.Option(help="Use and keep readings on disk.")] = True,
    as_json: JsonFlag = False,
) -> None:
    """Measure networks' latency at batch 1, with a 95% interval."""
    networks = [(name, open_spec(name, Changes(resolution))) for name in specs]
    source: LatencySource = open_device(device)
    if cache and not source.device.estimate:
        source = Cached(source)
    console = messages()
    kept = [source.holds(network) for _, network in networks] if isinstance(source, Cached) else []
    readings: list[tuple[str, ArchSpec, Latency]] = []
    with console.status("") as status:
        for name, network in networks:
            status.update(f"measuring {name} on {source.device.name}")
            try:
                readings.append((name, network, source.latency(network)))
            except MeasurementError as error:
                raise InputError(f"{name} cannot be measured on {device}: {error}") from error
    if as_json:
        print_json([_document(*reading) for reading in readings])
        return
    results().print(_table(readings, source.device))
    if any(kept):
        console.print(
            f"{sum(kept)} of {len(kept)} were measured earlier and kept; --no-cache measures again"
        )
    if not all(reading.stable for _, _, reading in readings):
        console.print("unstable: runs differed too much; end other programs and measure again")


def _document(name: str, network: ArchSpec, reading: Latency) -> dict[str, Any]:
    where = {
        "name": name,
        "spec_fingerprint": network.fingerprint,
        "resolution": network.resolution,
    }
    return where | reading.to_dict()


def _table(readings: list[tuple[str, ArchSpec, Latency]], device: Device) -> Table:
    kind = "an estimate, not measured" if device.estimate else "measured"
    table = Table(caption=f"{kind}: {device.name}, batch 1", pad_edge=False)
    table.add_column("network")
    timed = () if device.estimate else ("95% interval", "min", "p90", "runs", "")
    for title in ("px", "median ms", *timed):
        table.add_column(title, justify="right")
    for name, network, reading in readings:
        figures = (
            interval(reading),
            three_digits(reading.min_ms),
            three_digits(reading.p90_ms),
            str(reading.samples),
            "" if reading.stable else "unstable",
        )
        row = (str(network.resolution), three_digits(reading.median_ms), *figures[: len(timed)])
        table.add_row(name, *row)
    return table
