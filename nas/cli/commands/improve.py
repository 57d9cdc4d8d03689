"""`nas improve`: apply MobileNetV3's improvements to a network, one after another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from latency import Cached, Latency, MeasurementError, open_device
from nas.atomic_files import write_whole
from nas.cli.options.groups import OptionGroup, with_groups
from nas.cli.specs import SpecName, is_reference, of_run, open_spec, stem
from nas.display.output import JsonFlag, command, messages, print_json, results
from nas.display.progress import waiting
from nas.export.improvement_steps import (
    HSWISH_FROM,
    STEM_FILTERS,
    Improve,
    Step,
    chosen_improvements,
    take_steps,
)
from nas.formatting import interval, three_digits
from nas.report.layer_table import millions, short
from search_spaces import InputError, count
from search_spaces.shell import quoted
from search_spaces.spec import to_dict, to_yaml


@dataclass(frozen=True, kw_only=True)
class ImprovementOptions(OptionGroup):
    """Which improvements to apply."""

    panel = "Improvements"

    last_stage: Annotated[
        bool,
        typer.Option(help="Pool before the last 1x1 convolution, and drop the last projection."),
    ] = True
    stem: Annotated[
        bool, typer.Option(help=f"Use at most {STEM_FILTERS} filters and h-swish in the stem.")
    ] = True
    hswish: Annotated[
        int | None,
        typer.Option(
            "--hswish-from",
            metavar="N",
            help="Use h-swish from the first block with N channels on, and ReLU before it; default: "
            f"{HSWISH_FROM}, as in MobileNetV3-Large (Small: 40).",
        ),
    ] = None
    no_hswish: Annotated[bool, typer.Option("--no-hswish", help="Keep all nonlinearities.")] = False
    squeeze_excite: Annotated[
        bool,
        typer.Option(help="Resize existing squeeze-and-excite layers to 1/4 of the expansion."),
    ] = True

    def chosen(self) -> dict[str, Improve]:
        """Return the improvements to apply.

        Raises:
            InputError: Two options exclude each other, or one is out of range.
        """
        hswish = self.hswish
        if self.no_hswish and hswish is not None:
            raise InputError(f"--hswish-from {hswish} and --no-hswish exclude each other: give one")
        if hswish is not None and hswish < 1:
            raise InputError(
                f"hswish-from must be at least 1, got {hswish}: give a number of channels"
            )
        return chosen_improvements(
            last_stage=self.last_stage,
            stem=self.stem,
            hswish=None if self.no_hswish else hswish or HSWISH_FROM,
            squeeze_excite=self.squeeze_excite,
        )


@with_groups
def improve(
    spec: SpecName,
    improvements: ImprovementOptions,
    device: Annotated[
        str | None,
        typer.Option(help="Measure each step's latency on a device (see nas devices)."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="The .yaml file to write; default: NAME-improved.yaml."
        ),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Apply MobileNetV3's improvements to a network, in the paper's order, and write its spec.

    The weights are not kept: train the improved network from scratch.
    """
    chosen = improvements.chosen()
    steps = take_steps(open_spec(spec), chosen)
    _require_change(spec, steps)
    path = _checked(output or _beside(spec), spec)
    if output is None and path.exists():
        raise InputError(f"{path} exists: move it away, or choose another --output")
    readings = _readings(steps, device)
    improved = steps[-1].spec
    write_whole(path, to_yaml(improved))
    if as_json:
        print_json(
            {
                "name": spec,
                "path": str(path),
                "fingerprint": improved.fingerprint,
                "steps": [_document(*step) for step in zip(steps, readings, strict=True)],
                "spec": to_dict(improved),
            }
        )
        return
    results().print(_table(steps, readings))
    if first := readings[0]:
        kind = "an estimate, not measured" if first.estimate else "measured"
        results().print(f"{kind}: {first.device}, batch 1")
    messages().print(
        f"{path}: the improved network, without weights: train it from scratch\n"
        f"next: {command(f'show {quoted(spec)} {quoted(path)}')}\n"
        f"      {command(f'train {quoted(path)} --data DIR')}",
        soft_wrap=True,
    )


def _require_change(name: str, steps: list[Step]) -> None:
    """Check that a step changed the network.

    Raises:
        InputError: None did.
    """
    if steps[0].spec == steps[-1].spec:
        reasons = "; ".join(f"{step.name}: {step.reason}" for step in steps[1:])
        raise InputError(f"no improvement applies to {name}, nothing was written ({reasons})")


def _beside(name: str) -> Path:
    """Return the default output path: next to a file, or in the current folder for a reference network."""
    if is_reference(name):
        return Path(f"{stem(name)}-improved.yaml")
    path = of_run(name, ".yaml") or Path(name)
    return path.with_name(f"{path.stem}-improved.yaml")


def _checked(path: Path, source: str) -> Path:
    """Return the path after checking that the spec can be written there.

    Raises:
        InputError: It is not a YAML file name, its folder does not exist, or it is the input file.
    """
    if path.suffix not in (".yaml", ".yml"):
        raise InputError(
            f"the file name of a spec must end in .yaml, got {path}: choose another --output"
        )
    if not path.parent.is_dir():
        raise InputError(f"no folder {path.parent}: create it, or choose another --output")
    if path.resolve() in (Path(source).resolve(), (Path(source) / "best.yaml").resolve()):
        raise InputError(f"{path} is the input file: choose another --output")
    return path


def _readings(steps: list[Step], device: str | None) -> list[Latency | None]:
    """Measure each step; None if the step changed nothing, or no device was given.

    Raises:
        InputError: There is no such device, or it cannot measure a network.
    """
    if device is None:
        return [None] * len(steps)
    source = open_device(device)
    if not source.device.estimate:
        source = Cached(source)
    readings: list[Latency | None] = []
    with waiting(messages(), f"measuring on {source.device.name}") as status:
        for step in steps:
            status.update(f"measuring {step.name or 'the network'} on {source.device.name}")
            try:
                readings.append(None if step.reason else source.latency(step.spec))
            except MeasurementError as error:
                after = f" after {step.name}" if step.name else ""
                raise InputError(
                    f"the network{after} cannot be measured on {device}: {error}"
                ) from error
    return readings


def _document(step: Step, reading: Latency | None) -> dict[str, Any]:
    cost = count(step.spec)
    return {
        "step": step.name or None,
        "applied": bool(step.name) and not step.reason,
        "reason": step.reason or None,
        "fingerprint": step.spec.fingerprint,
        "params": cost.params,
        "madds": cost.madds,
        "latency": reading.to_dict() if reading else None,
    }


def _table(steps: list[Step], readings: list[Latency | None]) -> Table:
    first = readings[0]
    timed = 0 if first is None else 1 if first.estimate else 2  # an estimate has no interval
    table = Table(box=None, pad_edge=False)
    table.add_column("step", no_wrap=True)
    for heading in ("params", "change", "MAdds", "change", *("ms", "95% interval")[:timed]):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("", max_width=27)
    before = steps[0]
    for step, reading in zip(steps, readings, strict=True):
        figures = ("",) * 4 if step.reason else _figures(step, before)
        times = (three_digits(reading.median_ms), interval(reading)) if reading else ("", "")
        note = step.reason if not reading or reading.stable else "unstable"
        table.add_row(step.name or "before", *figures, *times[:timed], note)
        before = step
    return table


def _figures(step: Step, before: Step) -> tuple[str, ...]:
    """Format parameters and MAdds, each with its change by the step."""
    cost, earlier = count(step.spec), count(before.spec)
    return (
        f"{cost.params:,}",
        _change(cost.params - earlier.params, short),
        f"{cost.madds / 1e6:.1f}M",
        _change(cost.madds - earlier.madds, millions),
    )


def _change(by: int, written: Callable[[int], str]) -> str:
    return f"{'+' if by > 0 else '-'}{written(abs(by))}" if by else ""
