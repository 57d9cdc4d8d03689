"""A comparison as Markdown and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from nas.comparing.comparison import Comparison, Row, verdict
from nas.comparing.latencies import Read
from nas.comparing.paired import Difference
from nas.formatting import three_digits
from nas.statistics.confidence_intervals import mean_with_interval
from search_spaces import count

NOTE = (
    "Test {metric}: mean over seeds on {images:,} test images ± 95% interval (Student's t). "
    "Differences: the first network's metric minus this one's, in points, paired by seed, which sets "
    "the order of the images, their augmentation, and all weights that are drawn at random. The first "
    "interval is over the seeds: the randomness of these trainings alone. The one in brackets is over "
    "the test images, the mean of those of each seed. Intervals are of one pair each, not adjusted for "
    "the number of pairs. Weights: new ones are random, trained ones are fine-tuned. Latencies are "
    "interleaved; the ratio is to the first network's in the same rounds."
)


def headings(comparison: Comparison) -> list[str]:
    """Return the titles of `cells`."""
    timed = []
    for place, _ in enumerate(comparison.devices):
        which = "" if len(comparison.devices) == 1 else f" ({place + 1})"
        timed += [f"ms{which}", f"ratio{which}"]
        timed += [f"mJ{which}"] if _has_energy(comparison.rows[0], place) else []
    titles = ["network", "weights", "px", "params", "MAdds", *timed]
    return [*titles, f"test {comparison.metric}", "difference"]


def cells(row: Row, difference: Difference | None, *, brief: bool = False) -> list[str]:
    """Return a network's figures as text.

    Args:
        row: The network.
        difference: How much better the first network is.
        brief: Leave out the intervals of ratios, and mark unstable latencies with a question mark.
    """
    cost = count(row.spec)
    return [
        row.name,
        "new" if row.from_scratch else "trained",
        str(row.spec.resolution),
        f"{three_digits(cost.params / 1e6)}M",
        f"{three_digits(cost.madds / 1e6)}M",
        *(cell for read in row.latencies for cell in _latency(read, brief=brief)),
        mean_cell(row.percent),
        "" if difference is None else difference_cell(difference),
    ]


def markdown(comparison: Comparison) -> str:
    """Return the verdict, the table, and what its intervals cover."""
    titles = headings(comparison)
    lines = [verdict(comparison), "", _line(titles), "|---" * len(titles) + "|"]
    for row, difference in zip(comparison.rows, comparison.differences, strict=True):
        lines.append(_line(cells(row, difference)))
    failed = [f"{row.name}: {row.errors[0]}" for row in comparison.rows if row.errors]
    devices = ", ".join(comparison.devices)
    note = NOTE.format(metric=comparison.metric, images=comparison.images)
    lines += ["", f"Measured on: {devices}. {note}"]
    if failed:
        lines += ["", f"Failed trainings are left out: {'; '.join(failed)}."]
    return "\n".join(lines) + "\n"


def table_csv(comparison: Comparison) -> str:
    """Return a row for each network, of plain numbers."""
    text = io.StringIO()
    rows = [_record(comparison, place) for place in range(len(comparison.rows))]
    table = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    return text.getvalue()


def _record(comparison: Comparison, place: int) -> dict[str, object]:
    row, difference = comparison.rows[place], comparison.differences[place]
    cost = count(row.spec)
    mean, half = mean_with_interval(row.percent) if row.evidence else (None, None)
    record: dict[str, object] = {
        "network": row.name,
        "from_scratch": row.from_scratch,
        "px": row.spec.resolution,
        "params": cost.params,
        "madds": cost.madds,
    }
    for number, read in enumerate(row.latencies, start=1):
        low, high = read.ci95_ms
        record |= {f"ms_{number}": read.ms, f"ms_low_{number}": low, f"ms_high_{number}": high}
        record[f"of_first_{number}"] = read.of_first
        if read.energy_mj is not None:
            record |= {
                f"mj_{number}": read.energy_mj,
                f"mj_half_interval_{number}": read.energy_half,
            }
    return record | {
        "seeds": len(row.evidence),
        "test_percent": mean,
        "test_half_interval": half,
        "first_minus_this": difference and difference.points,
        "half_interval_over_seeds": difference and difference.over_seeds,
        "low_over_images": difference and difference.low,
        "high_over_images": difference and difference.high,
        "learning_rate_multiple": row.rate,
        "train_s": row.train_s,
    }


def _has_energy(row: Row, device: int) -> bool:
    return row.latencies[device].energy_mj is not None


def _latency(read: Read, *, brief: bool) -> list[str]:
    energy = []
    if read.energy_mj is not None:
        half = "" if read.energy_half is None or brief else f" ± {read.energy_half:.2g}"
        energy = [f"{three_digits(read.energy_mj)}{half}"]
    if brief:
        ratio = f"{read.of_first:.2f}"
        return [three_digits(read.ms) + ("?" if read.problems else ""), ratio, *energy]
    low, high = read.of_first_ci95
    span = f" ({low:.2f} to {high:.2f})" if low < high else ""
    return [
        three_digits(read.ms) + (" (unstable)" if read.problems else ""),
        f"{read.of_first:.2f}{span}",
        *energy,
    ]


def _line(values: Sequence[str]) -> str:
    return f"| {' | '.join(values)} |"


def mean_cell(values: Sequence[float]) -> str:
    """Format figures in percent: the mean, and half of its 95% interval.

    >>> mean_cell([80.0, 81.0, 82.0]), mean_cell([])
    ('81.0% ± 2.5', 'failed')
    """
    if not values:
        return "failed"
    mean, half = mean_with_interval(values)
    return f"{mean:.1f}%" + ("" if half is None else f" ± {half:.1f}")


def difference_cell(difference: Difference) -> str:
    """Format a difference in points with both intervals.

    >>> difference_cell(Difference(1.25, 0.5, -0.25, 2.75, seeds=5))
    '+1.2 ± 0.5 (± 1.5)'
    """
    over_seeds = "" if difference.over_seeds is None else f" ± {difference.over_seeds:.1f}"
    return f"{difference.points:+.1f}{over_seeds} (± {difference.over_images:.1f})"
