"""Error of the estimates on held-out designs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from latency.estimates.published.fit import Floats, cached_work, fit
from latency.estimates.published.rows import Row, published_rows


@dataclass(frozen=True)
class HeldOut:
    """Errors of families estimated from the other families.

    Attributes:
        mape: Mean over families of their mean relative error, 0..1.
        row_mape: Mean relative error over rows, 0..1.
        tau: Kendall's tau-b between published and estimated latencies.
        within10: Fraction of rows estimated within 10%.
        rows: Number of rows.
        families: Mean relative error of each.
    """

    mape: float
    row_mape: float
    tau: float
    within10: float
    rows: int
    families: dict[str, float]


@cache
def held_out(phone: str) -> HeldOut:
    """Return the leave-one-family-out errors of a phone; a family is left out on all phones.

    >>> pixel1 = held_out("pixel1")
    >>> pixel1.mape < 0.10 and pixel1.tau > 0.9
    True
    """
    rows = [row for row in published_rows() if row.phone == phone]
    return compared(rows, held_out_estimates(phone))


def held_out_estimates(phone: str) -> Floats:
    """Estimate the latency (ms) of each row without its family, shape (rows,)."""
    everything = published_rows()
    rates = {
        family: fit(phone, [row for row in everything if row.family != family])
        for family in {row.family for row in everything}
    }
    return np.array(
        [cached_work(row.spec) @ rates[row.family] for row in everything if row.phone == phone]
    )


def compared(rows: Sequence[Row], estimates_ms: Floats) -> HeldOut:
    """Compute the errors of estimates, shape (rows,)."""
    published = np.array([row.latency_ms for row in rows])
    errors = np.abs(estimates_ms / published - 1)
    names = [row.family for row in rows]
    families = {
        name: float(np.mean([e for e, n in zip(errors, names, strict=True) if n == name]))
        for name in sorted(set(names))
    }
    return HeldOut(
        mape=float(np.mean(list(families.values()))),
        row_mape=float(errors.mean()),
        tau=kendall_tau(published, estimates_ms),
        within10=float(np.mean(errors <= 0.10)),
        rows=len(rows),
        families=families,
    )


def kendall_tau(a: Floats, b: Floats) -> float:
    """Return Kendall's tau-b of two orders, each of shape (n,).

    >>> kendall_tau(np.array([1.0, 2.0, 3.0]), np.array([1.0, 3.0, 2.0])).__round__(3)
    0.333
    """
    x, y = (np.sign(v[:, None] - v[None, :]) for v in (a, b))  # (n, n)
    return float(np.sum(x * y) / np.sqrt(np.sum(x * x) * np.sum(y * y)))
