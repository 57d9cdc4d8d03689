"""What int8 changes, as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from nas.formatting import interval, three_digits

if TYPE_CHECKING:
    from nas.export.quantize import Comparison


def int8_table(compared: Comparison) -> Table:
    """Accuracy, latency and size of a float file and its int8 one."""
    before, after = compared.before, compared.after
    table = Table(
        pad_edge=False,
        caption=(
            f"{compared.images} held-out images of {compared.px} px, {compared.agreement:.1%} given the "
            f"same class by both; calibrated on {compared.calibrated_on} training images; "
            f"measured: {after.latency.device}, batch 1, {compared.px} px"
        ),
    )
    table.add_column("file")
    for title in ("top-1", "median ms", "95% interval", "MB"):
        table.add_column(title, justify="right")
    for name, side in (("float", before), ("int8", after)):
        reading, size_mb = side.latency, f"{side.size / 1e6:.2f}"
        median = three_digits(reading.median_ms)
        table.add_row(name, f"{side.accuracy:.2%}", median, interval(reading), size_mb)
    points = 100 * (after.accuracy - before.accuracy)
    times = after.latency.median_ms / before.latency.median_ms
    smaller = f"x {after.size / before.size:.2f}"
    table.add_row("int8 against float", f"{points:+.2f}", f"x {times:.2f}", "", smaller)
    return table
