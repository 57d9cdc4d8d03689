"""Compare an int8 file with its float one in a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from nas.formatting import interval, three_digits

if TYPE_CHECKING:
    from nas.export.quantize import Comparison


def int8_table(compared: Comparison) -> Table:
    """Tabulate the task's metric, latency and size of both files."""
    before, after = compared.before, compared.after
    table = Table(
        pad_edge=False,
        caption=(
            f"{compared.images} held-out images of {compared.px} px, on which both agree to "
            f"{compared.agreement:.1%}; calibrated on {compared.calibrated_on} training images; "
            f"measured: {after.latency.device}, batch 1, {compared.px} px"
        ),
    )
    table.add_column("file")
    for title in (compared.metric, "median ms", "95% interval", "MB"):
        table.add_column(title, justify="right")
    for name, side in (("float", before), ("int8", after)):
        reading, size_mb = side.latency, f"{side.size / 1e6:.2f}"
        median = three_digits(reading.median_ms)
        table.add_row(name, f"{side.accuracy:.2%}", median, interval(reading), size_mb)
    change = compared.difference
    points = f"{change.points:+.2f} ({change.low:+.2f} to {change.high:+.2f})"
    times = after.latency.median_ms / before.latency.median_ms
    smaller = f"x {after.size / before.size:.2f}"
    table.add_row("int8 vs float", points, f"x {times:.2f}", "", smaller)
    return table
