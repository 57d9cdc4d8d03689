"""`nas show`: a network's layer table, with what each block costs."""

from __future__ import annotations

from dataclasses import asdict

from rich.table import Table

from nas.cli.output import JsonFlag, print_json, results
from nas.cli.specs import (
    Changes,
    ClassesOption,
    ConventionOption,
    ResolutionOption,
    SpecName,
    WidthOption,
    open_spec,
)
from search_spaces import ArchSpec, Cost, count
from search_spaces.spec import to_dict

ABBREVIATED = {"relu": "RE", "relu6": "RE6", "hswish": "HS", "hswish_unfused": "HSu", "swish": "SW"}
"""Nonlinearities as the MobileNetV3 paper's tables have them."""


def show(
    spec: SpecName,
    resolution: ResolutionOption = None,
    classes: ClassesOption = None,
    width: WidthOption = None,
    convention: ConventionOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Print a network: its layer table, parameters and multiply-adds."""
    network = open_spec(spec, Changes(resolution, classes, width, convention))
    cost = count(network)
    if as_json:
        print_json(
            {
                "name": spec,
                "fingerprint": network.fingerprint,
                "params": cost.params,
                "madds": cost.madds,
                "stages": [asdict(stage) for stage in cost.stages],
                "spec": to_dict(network),
            }
        )
        return
    results().print(_table(spec, network, cost))


def _table(name: str, spec: ArchSpec, cost: Cost) -> Table:
    total = f"{cost.params:,} parameters, {cost.madds / 1e6:.1f}M MAdds at {spec.resolution} px"
    table = Table(
        title=name, caption=f"{total}\nfingerprint {spec.fingerprint}", box=None, pad_edge=False
    )
    for title in ("input", "operator", "exp", "out", "SE", "NL", "s", "skip", "params", "MAdds"):
        left = title in ("input", "operator", "skip")
        table.add_column(title, justify="left" if left else "right", no_wrap=True)
    rows = [_stem(spec), *_blocks(spec), _head(spec)]
    for row, stage in zip(rows, cost.stages, strict=True):
        size = f"{stage.in_px}²x{stage.cin}"
        table.add_row(size, *row, f"{stage.params:,}", f"{stage.madds / 1e6:.2f}M")
    return table


def _stem(spec: ArchSpec) -> tuple[str, ...]:
    stem = spec.stem
    nonlinearity = ABBREVIATED[stem.act]
    return (
        f"conv {stem.kernel}x{stem.kernel}",
        "",
        str(stem.out),
        "",
        nonlinearity,
        str(stem.stride),
        "",
    )


def _blocks(spec: ArchSpec) -> list[tuple[str, ...]]:
    return [
        (
            f"{block.op} {block.kernel}x{block.kernel}",
            str(block.expand or ""),
            str(block.out),
            str(block.se or ""),
            ABBREVIATED[block.act],
            str(block.stride),
            block.skip if block.skip != "none" else "",
        )
        for block in spec.blocks
    ]


def _head(spec: ArchSpec) -> tuple[str, ...]:
    head = spec.head
    parts = [f"1x1 {head.conv}"] if head.conv else []
    parts += ["pool", *([str(head.hidden)] if head.hidden else []), "fc"]
    return (", ".join(parts), "", str(head.classes), "", ABBREVIATED[head.act], "", "")
