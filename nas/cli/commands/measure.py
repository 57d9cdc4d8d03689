"""`nas measure`: measure and compare the latencies of networks on a device."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from latency import (
    Cached,
    Device,
    Latency,
    LatencySource,
    Measured,
    MeasurementError,
    Ratio,
    close,
    open_device,
)
from latency.estimates.published import PublishedEstimate
from latency.measuring.sustained import Window, sustained
from nas.cli.options.groups import OptionGroup, with_groups
from nas.cli.specs import ScaleOptions
from nas.cli.subject import Subject, prepared, subject
from nas.display.output import JsonFlag, messages, print_json, results
from nas.display.progress import waiting
from nas.formatting import interval, three_digits
from search_spaces import InputError


@dataclass(frozen=True)
class Found:
    """A subject's latency, and its ratio to the first if they were measured together."""

    subject: Subject
    latency: Latency
    ratio: Ratio | None = None


@dataclass(frozen=True, kw_only=True)
class MeasureOptions(OptionGroup):
    """Where and how to measure."""

    device: Annotated[
        str, typer.Option(help="cpu (this machine), pixel1, ...: nas devices lists them.")
    ] = "cpu"
    resolution: Annotated[
        int | None,
        typer.Option(help="Input side in pixels; for a file, only if its input size is dynamic."),
    ] = None
    cache: Annotated[bool, typer.Option(help="Cache readings on disk; for one network only.")] = (
        True
    )
    for_s: Annotated[
        float | None,
        typer.Option(
            "--sustained",
            metavar="SECONDS",
            help="Run one network for this long, to see thermal throttling.",
        ),
    ] = None


@with_groups
def measure(
    specs: Annotated[
        list[str],
        typer.Argument(
            help=".yaml specs, seed.pt files, reference names, or .onnx and .tflite files."
        ),
    ],
    how: MeasureOptions,
    scale: ScaleOptions,
    as_json: JsonFlag = False,
) -> None:
    """Measure latency at batch 1 with 95% intervals; several networks are interleaved and compared."""
    changes = scale.changes(resolution=how.resolution)
    named = [subject(name, changes) for name in specs]
    source = open_device(how.device)
    console = messages()
    try:
        subjects = prepared(named, source, resolution=how.resolution)
        if how.for_s is not None:
            _sustain(source, subjects, how.for_s, console, as_json=as_json)
            return
        with waiting(console, f"measuring on {source.device.name}"):
            if isinstance(source, Measured) and len(subjects) > 1:
                found = _together(source, subjects)
            else:
                kept = Cached(source) if how.cache and not source.device.estimate else source
                found = [_alone(kept, source, subject, console) for subject in subjects]
    except MeasurementError as error:
        one = f"{named[0].name}: " if len(named) == 1 else ""
        raise InputError(f"{one}cannot be measured on {how.device}: {error}") from error
    finally:
        close(source)
    if as_json:
        print_json([_document(source, reading) for reading in found])
        return
    results().print(_table(found, source.device))
    for reading in found:
        for problem in reading.latency.problems:
            console.print(f"{reading.subject.name}: unstable latency: {problem}", soft_wrap=True)
        if strange := _beyond(source, reading.subject):
            console.print(
                f"{reading.subject.name}: the estimate is extrapolated, as no published network has "
                f"{'; '.join(strange)}",
                soft_wrap=True,
            )


def _together(source: Measured, subjects: list[Subject]) -> list[Found]:
    """Measure interleaved in one run, so that drift of the device cancels in the ratios."""
    models, names = [one.on(source) for one in subjects], [one.name for one in subjects]
    first, *others = source.measure(models, names=names)
    found = [Found(subjects[0], first.latency)]
    pairs = zip(subjects[1:], others, strict=True)
    return found + [Found(name, reading.latency, reading.over(first)) for name, reading in pairs]


def _alone(kept: Any, source: Any, subject: Subject, console: Console) -> Found:
    if subject.model is not None:
        return Found(subject, source.latency_of_model(subject.model))
    assert subject.spec is not None
    if isinstance(kept, Cached) and kept.holds(subject.spec):
        console.print(f"{subject.name}: cached reading; --no-cache measures again")
    return Found(subject, kept.latency(subject.spec))


def _beyond(source: LatencySource, subject: Subject) -> tuple[str, ...]:
    """Return the properties in which a network is unlike all that an estimate was fitted to."""
    if subject.spec is None or not isinstance(source, PublishedEstimate):
        return ()
    return source.beyond(subject.spec)


def _document(source: LatencySource, found: Found) -> dict[str, Any]:
    spec, size = found.subject.spec, found.subject.size
    document: dict[str, Any] = {"name": found.subject.name}
    if spec is not None:
        document["spec_fingerprint"] = spec.fingerprint
    if size is not None:
        document["resolution"] = size[0] if size[0] == size[1] else list(size)
    document |= found.latency.to_dict()
    if strange := _beyond(source, found.subject):
        document["beyond_published"] = list(strange)
    if found.ratio is not None:
        document |= {
            "ratio_to_first": found.ratio.value,
            "ratio_ci95": list(found.ratio.ci95),
            "differs": found.ratio.differs,
        }
    return document


def _table(found: list[Found], device: Device) -> Table:
    kind = "an estimate, not measured" if device.estimate else "measured"
    table = Table(caption=f"{kind}: {device.name}, batch 1", pad_edge=False)
    table.add_column("network")
    timed = () if device.estimate else ("95% interval", "min", "p90", "runs")
    compared = any(reading.ratio for reading in found)
    ratios = ("ratio", "95% interval", "") if compared else ()
    for title in ("px", "median ms", *timed, *ratios):
        table.add_column(title, justify="right")
    for reading in found:
        latency = reading.latency
        figures = (
            interval(latency),
            three_digits(latency.min_ms),
            three_digits(latency.p90_ms),
            str(latency.samples),
        )
        table.add_row(
            reading.subject.name,
            reading.subject.px,
            three_digits(latency.median_ms),
            *figures[: len(timed)],
            *_ratio(reading.ratio)[: len(ratios)],
        )
    return table


def _ratio(ratio: Ratio | None) -> tuple[str, str, str]:
    """Format a ratio to the first network: value, interval and verdict."""
    if ratio is None:
        return "1", "", ""
    low, high = ratio.ci95
    verdict = "no difference" if not ratio.differs else "slower" if ratio.value > 1 else "faster"
    return f"{ratio.value:.3f}", f"{low:.3f} to {high:.3f}", verdict


def _sustain(
    source: Any, subjects: list[Subject], seconds: float, console: Console, *, as_json: bool
) -> None:
    if len(subjects) != 1 or not isinstance(source, Measured):
        raise InputError(
            "--sustained runs one network on a device that measures, got "
            f"{len(subjects)} on {source.device.name}"
        )
    if not 0 < seconds < math.inf:
        raise InputError(
            f"--sustained must be above 0 seconds, got {seconds:g}: give for instance 120"
        )
    with waiting(console, f"running for {seconds:.0f} s on {source.device.name}") as status:

        def tell(window: Window) -> None:
            status.update(
                f"{window.end_s:.0f} of {seconds:.0f} s: {three_digits(window.median_ms)} ms"
            )

        windows = sustained(source.runtime, subjects[0].on(source), seconds, on_window=tell)
    if as_json:
        print_json({"device": source.device.name, "windows": [vars(w) for w in windows]})
        return
    table = Table(
        caption=f"measured: {source.device.name}, batch 1, run without pauses", pad_edge=False
    )
    for title in ("until s", "median ms", "vs first", "°C", "MHz"):
        table.add_column(title, justify="right")
    for window in windows:
        table.add_row(
            f"{window.end_s:.0f}",
            three_digits(window.median_ms),
            f"{window.median_ms / windows[0].median_ms:.2f}",
            "" if window.celsius is None else f"{window.celsius:.0f}",
            "" if window.frequency_mhz is None else f"{window.frequency_mhz:.0f}",
        )
    results().print(table)
