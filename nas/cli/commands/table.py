"""`nas table`: the MobileNetV3 paper's detectors and segmentation networks, counted and measured here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import typer
from rich.table import Table

from latency import Measured, MeasurementError, Reading, close, open_device
from latency.estimates.published.held_out import kendall_tau
from nas.display.output import JsonFlag, messages, print_json, results
from nas.display.progress import waiting
from nas.formatting import three_digits
from search_spaces import InputError, count
from search_spaces.nearest import did_you_mean
from search_spaces.references.published import HALF, Published, detectors, segmenters

TABLES: dict[str, Callable[[], tuple[Published, ...]]] = {
    "detection": detectors,
    "segmentation": segmenters,
}

SCORES = {"detection": "mAP", "segmentation": "mIoU"}
PHONES = {"detection": "Pixel 1", "segmentation": "Pixel 3"}

REASONS = {
    "detection": (
        "V1 and V2 have 80 classes, as in MobileNetV2's paper, the source of their figures; the others 90.",
        "Networks at a width multiplier have their last convolution and extra layers scaled, too.",
        "Three anchors in each cell of the first map, as in TensorFlow; torchvision has six, and with it "
        "0.19M parameters and 0.08B MAdds more in V3-Large +.",
        "The remaining difference of up to 2% of the parameters is unexplained.",
    ),
    "segmentation": (
        "Inputs are one pixel larger than 1024 x 2048 and 512 x 1024, as in DeepLab's code.",
        "RF2 halves the first expansion of the last stage in V3 but not in V2, to match the parameters.",
        "R-ASPP: the pooled half of the projection is the same for every pixel and computed once, which "
        "saves 0.55B of the paper's MAdds.",
        "The remaining difference of up to 6% of the MAdds is unexplained.",
        "Latencies are measured at half size.",
    ),
}
"""Why figures differ from the paper's."""


@dataclass(frozen=True)
class Row:
    """A published network with its counts, and its latency here."""

    published: Published
    params_m: float
    madds_g: float
    reading: Reading | None = None


def table(
    which: Annotated[str, typer.Argument(metavar="detection|segmentation", help="The table.")],
    device: Annotated[
        str | None,
        typer.Option(help="Measure latencies on this device, such as cpu (minutes)."),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Compare parameters, MAdds and latency with the MobileNetV3 paper's tables of dense tasks.

    Latency is that of the network with its head, without non-maximum suppression or upsampling.
    """
    if which not in TABLES:
        raise InputError(
            f"no table {which!r}: give {' or '.join(TABLES)}{did_you_mean(which, TABLES)}"
        )
    rows = [_counted(one) for one in TABLES[which]()]
    if device is not None:
        rows = _measured(rows, device)
    if as_json:
        print_json([_document(row) for row in rows])
        return
    results().print(_table(rows, which))
    for reason in REASONS[which]:
        messages().print(reason, soft_wrap=True)
    if device is not None:
        messages().print(_order(rows, PHONES[which]), soft_wrap=True)


def _counted(one: Published) -> Row:
    cost = count(one.spec, width_px=one.width_px)
    return Row(one, cost.params / 1e6, cost.madds / 1e9)


def _measured(rows: Sequence[Row], device: str) -> list[Row]:
    """Measure the networks interleaved; of segmentation, at half size and torchvision's."""
    from search_spaces.exporting.onnx_export import to_onnx
    from search_spaces.network import build  # imports torch

    source = open_device(device)
    chosen = [row for row in rows if row.published.width_px <= HALF[1]]
    try:
        if not isinstance(source, Measured):
            raise InputError(
                f"--device {device} estimates latencies: give one that measures, as cpu"
            )
        if ".onnx" not in getattr(source.runtime, "formats", ()):
            raise InputError(f"--device {device} does not run ONNX: give one that does, as cpu")
        with waiting(messages(), f"measuring {len(chosen)} networks on {source.device.name}"):
            models = [
                to_onnx(build(row.published.spec), width_px=row.published.width_px)
                for row in chosen
            ]
            names = [row.published.name for row in chosen]
            readings = dict(zip(names, source.measure(models, names=names), strict=True))
    except MeasurementError as error:
        raise InputError(f"cannot be measured on {device}: {error}") from error
    finally:
        close(source)
    return [
        Row(row.published, row.params_m, row.madds_g, readings.get(row.published.name))
        for row in rows
    ]


def _table(rows: Sequence[Row], which: str) -> Table:
    measured = any(row.reading for row in rows)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("network", no_wrap=True)
    own = ("ms here",) if measured else ()
    for title in (
        "params, M", "paper", "", "MAdds, B", "paper", "", SCORES[which],
        f"{PHONES[which]} ms", *own,
    ):  # fmt: skip
        table.add_column(title, justify="right", no_wrap=True)
    for row in rows:
        one = row.published
        here = three_digits(row.reading.latency.median_ms) if row.reading else "-"
        table.add_row(
            one.name,
            *_beside(row.params_m, one.params_m),
            *_beside(row.madds_g, one.madds_g),
            _or_dash(one.score),
            _or_dash(one.latency_ms),
            *((here,) if measured else ()),
        )
    return table


def _beside(own: float, published: float | None) -> tuple[str, str, str]:
    """Format a figure, the published one, and the difference.

    >>> _beside(3.248, 3.22)
    ('3.248', '3.22', '+0.9%')
    """
    if published is None:
        return f"{own:.3f}", "-", ""
    return f"{own:.3f}", f"{published:g}", f"{100 * (own / published - 1):+.1f}%"


def _or_dash(figure: float | None) -> str:
    return "-" if figure is None else f"{figure:g}"


def _order(rows: Sequence[Row], phone: str) -> str:
    """Say how well the order of latencies here agrees with the paper's."""
    pairs = [
        (row.reading.latency.median_ms, row.published.latency_ms)
        for row in rows
        if row.reading and row.published.latency_ms is not None
    ]
    here, there = zip(*pairs, strict=True)
    tau = kendall_tau(np.array(here), np.array(there))
    return f"{len(pairs)} networks in order of latency here and on the {phone}: Kendall's tau {tau:.2f}"


def _document(row: Row) -> dict[str, Any]:
    one = row.published
    return {
        "name": one.name,
        "height_px": one.spec.resolution,
        "width_px": one.width_px,
        "params_m": row.params_m,
        "madds_g": row.madds_g,
        "published": {
            "params_m": one.params_m,
            "madds_g": one.madds_g,
            "score": one.score,
            "latency_ms": one.latency_ms,
            "source": one.source,
        },
        "latency": None if row.reading is None else row.reading.latency.to_dict(),
    }
