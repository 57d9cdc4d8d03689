"""`nas devices`: list the kinds of device, and check which ones work here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer
from rich.table import Table

from latency import MeasurementError, close, device_kinds, open_device
from nas.display.output import JsonFlag, messages, print_json, results
from nas.display.progress import waiting
from nas.formatting import three_digits
from search_spaces import REFERENCES, InputError

PROBE = "mobilenet_v3_small"


@dataclass(frozen=True)
class Checked:
    """A checked device: the latency of the probe network, or the problem."""

    device: str
    name: str
    estimate: bool | None
    probe_ms: float | None
    problem: str | None


def devices(
    named: Annotated[
        list[str] | None,
        typer.Argument(
            help="Devices to check, as given to --device; default: all that need no argument."
        ),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """List the kinds of device, and check the available ones with a test network."""
    kinds = device_kinds()
    chosen = named or [kind.example for kind in kinds if kind.ready]
    with waiting(messages(), f"measuring {PROBE} on {', '.join(chosen)}") as status:
        found = []
        for device in chosen:
            status.update(f"measuring {PROBE} on {device}")
            found.append(_check(device))
    if as_json:
        print_json(
            {
                "kinds": [{"device": k.example, "about": k.about} for k in kinds],
                "checked": [vars(f) for f in found],
            }
        )
        return
    if not named:
        table = Table(pad_edge=False, title="--device takes")
        table.add_column("device", no_wrap=True)
        table.add_column("latency on")
        for kind in kinds:
            table.add_row(kind.example, kind.about)
        results().print(table)
    results().print(_table(found))


def _check(device: str) -> Checked:
    try:
        source = open_device(device)
        try:
            reading = source.latency(REFERENCES[PROBE]())
        finally:
            close(source)
    except (InputError, MeasurementError) as error:
        return Checked(device, "", None, None, str(error))
    problem = "; ".join(reading.problems) or None
    return Checked(device, source.device.name, source.device.estimate, reading.median_ms, problem)


def _table(found: list[Checked]) -> Table:
    table = Table(pad_edge=False, title=f"checked with {PROBE}")
    table.add_column("device", no_wrap=True)
    table.add_column("ms", justify="right")
    table.add_column("")
    for checked in found:
        if checked.probe_ms is None:
            table.add_row(checked.device, "", f"does not work: {checked.problem}")
            continue
        kind = "estimated: " if checked.estimate else "measured: "
        unstable = f" (unstable: {checked.problem})" if checked.problem else ""
        table.add_row(
            checked.device, three_digits(checked.probe_ms), kind + checked.name + unstable
        )
    return table
