"""`nas show`: print one network's layers, two side by side, or a summary of more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from nas.cli.options.groups import with_groups
from nas.cli.specs import Changes, ScaleOptions, is_reference, open_spec
from nas.display.output import JsonFlag, print_json, results
from nas.report.layer_table import (
    HEADINGS,
    LEGEND,
    Pair,
    PairedStage,
    Row,
    cells,
    layer_table,
    millions,
    short,
    side_by_side,
)
from search_spaces import ArchSpec, count
from search_spaces.spec import to_dict

Named = tuple[str, ArchSpec]
LEFT = ("input", "operator", "SE", "NL", "skip")
"""Headings of the columns that are text."""


@with_groups
def show(
    specs: Annotated[
        list[str],
        typer.Argument(help=".yaml specs, seed.pt files, run folders, or reference names."),
    ],
    scale: ScaleOptions,
    resolution: Annotated[int | None, typer.Option(help="Input side in pixels.")] = None,
    classes: Annotated[int | None, typer.Option(help="Number of classes.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Print a network's layers with parameters and MAdds.

    Two networks are printed side by side, more than two as one line each.
    """
    networks = _open_all(specs, scale.changes(resolution=resolution, classes=classes))
    if as_json:
        documents = [_document(*network) for network in networks]
        print_json(documents if len(documents) > 1 else documents[0])
    elif len(networks) == 1:
        _print_one(*networks[0])
    elif len(networks) == 2:
        _print_two(*networks)
    else:
        results().print(_many(networks))


def _open_all(names: list[str], changes: Changes) -> list[Named]:
    """Open the networks; options for reference networks apply to those among them, if any."""
    references = [is_reference(name) for name in names]
    plain = [known and "@" not in name for known, name in zip(references, names, strict=True)]

    def own(at: int) -> Changes:
        width = changes.width if plain[at] or not any(plain) else None
        convention = changes.convention if references[at] or not any(references) else None
        return replace(changes, width=width, convention=convention)

    return [(name, open_spec(name, own(at))) for at, name in enumerate(names)]


def _document(name: str, spec: ArchSpec) -> dict[str, Any]:
    cost = count(spec)
    return {
        "name": name,
        "fingerprint": spec.fingerprint,
        "params": cost.params,
        "madds": cost.madds,
        "stages": [asdict(stage) for stage in cost.stages],
        "spec": to_dict(spec),
    }


def _total(spec: ArchSpec) -> str:
    cost = count(spec)
    return f"{cost.params:,} parameters, {cost.madds / 1e6:.1f}M MAdds at {spec.resolution} px"


def _print_one(name: str, spec: ArchSpec) -> None:
    table = _plain_table(title=Text(name))
    for heading in HEADINGS:
        _add_column(table, heading, left=heading in LEFT)
    for row in layer_table(spec):
        table.add_row(*cells(row))
    console = results()
    console.print(table)
    console.print(f"{_total(spec)}\nfingerprint {spec.fingerprint}")
    console.print(LEGEND, style="dim")


def _plain_table(**options: Any) -> Table:
    return Table(box=None, pad_edge=False, **options)


def _add_column(table: Table, heading: str, *, left: bool = False) -> None:
    table.add_column(heading, justify="left" if left else "right", no_wrap=True)


def _print_two(left: Named, right: Named) -> None:
    stages = side_by_side(left[1], right[1])
    console = results()
    for letter, (name, spec) in zip("AB", (left, right), strict=True):
        console.print(f"{letter}  {name}: {_total(spec)}")
    console.print()
    console.print(_beside(stages))
    console.print(MARKS, style="dim")
    console.print()
    console.print(_by_stage(stages))


MARKS = "|: the rows differ, perhaps in a property not shown, such as skip   <: only in A   >: only in B"
_BESIDE = ("input", "operator", "exp", "out", "SE", "NL", "s", "params", "MAdds")


def _beside(stages: tuple[PairedStage, ...]) -> Table:
    """Tabulate rows side by side, with the marks of `diff` between them."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), collapse_padding=True)
    for letter in "AB":
        for heading in _BESIDE:
            title = f"{letter}: {heading}" if heading == "input" else heading
            _add_column(table, title, left=heading in LEFT)
        if letter == "A":
            _add_column(table, "")
    for number, stage in enumerate(stages):
        if number:
            table.add_row()
        for pair in stage.pairs:
            table.add_row(*_half(pair[0]), _mark(pair), *_half(pair[1]))
    return table


def _half(row: Row | None) -> tuple[str, ...]:
    if row is None:
        return ("",) * len(_BESIDE)
    shown = dict(zip(HEADINGS, cells(row), strict=True))
    shown["operator"] = row.operator.replace("conv2d 1x1, NBN", "1x1, NBN")
    shown["params"] = short(row.params) if row.params else "-"
    return tuple(shown[heading] for heading in _BESIDE)


def _mark(pair: Pair) -> str:
    if pair[0] is None or pair[1] is None:
        return "<" if pair[0] else ">"
    return " " if pair[0] == pair[1] else "|"


def _by_stage(stages: tuple[PairedStage, ...]) -> Table:
    table = _plain_table(
        caption=Text("a block counts at the map size of its input"), caption_justify="left"
    )
    _add_column(table, "map", left=True)
    for figure in ("params", "MAdds"):
        for heading in (f"{figure} A", "B", "B/A"):
            _add_column(table, heading)
    whole = PairedStage("total", tuple(pair for stage in stages for pair in stage.pairs))
    for stage in (*stages, whole):
        left, right = stage.rows(0), stage.rows(1)
        params = [sum(row.params for row in rows) for rows in (left, right)]
        madds = [sum(row.madds for row in rows) for rows in (left, right)]
        table.add_row(stage.name, *_compared(params, short), *_compared(madds, millions))
    return table


def _compared(totals: list[int], written: Callable[[int], str]) -> tuple[str, str, str]:
    left, right = (written(total) if total else "-" for total in totals)
    return left, right, f"{totals[1] / totals[0]:.2f}" if all(totals) else "-"


def _many(networks: list[Named]) -> Table:
    table = _plain_table()
    for heading in ("network", "params", "MAdds", "px", "blocks", "fingerprint"):
        _add_column(table, heading, left=heading in ("network", "fingerprint"))
    for name, spec in networks:
        cost = count(spec)
        size, blocks = str(spec.resolution), str(len(spec.blocks))
        madds = f"{cost.madds / 1e6:.1f}M"
        table.add_row(Text(name), f"{cost.params:,}", madds, size, blocks, spec.fingerprint)
    return table
