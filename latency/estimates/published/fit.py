"""Fit the rate of each kind of work on a phone to published latencies.

Latency is a sum of work times nonnegative rates. The rates minimize relative errors on Pixel 1, which has
the most rows. The other phones have the same rates times one factor: their rows are those of Pixel 1 times
1.2 or 0.86, most within 5%.

With one family held out at a time, the mean error over families on Pixel 1 is 6.3%. Alternatives: 8.4% with
unconstrained rates and without the differences of table 5; 15.7% in proportion to MAdds; 6.7% (but 7.1%
over rows, instead of 4.8%) for ridge regression on logarithms with the best of four penalties, which is not
additive and therefore unbounded on dissimilar networks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import combinations

import numpy as np
import numpy.typing as npt

from latency.estimates.published.rows import ABLATED, Row, published_rows
from latency.estimates.published.work import KINDS, work
from search_spaces.spec import ArchSpec

Floats = npt.NDArray[np.float64]

FITTED_ON = "pixel1"

# Two networks that differ only in their nonlinearity share the estimate's error, about 8%. It cancels in
# their difference, which leaves the spread of the measurements, about 1%.
_DIFFERENCE_WEIGHT = (8 / 1) ** 2


def fit(phone: str, rows: Iterable[Row] | None = None) -> Floats:
    """Return nanoseconds per operation of each kind on a phone, shape (6,).

    Args:
        phone: The phone.
        rows: Rows to fit to; all published rows by default.
    """
    given = tuple(published_rows() if rows is None else rows)
    rates = fit_rates([row for row in given if row.phone == FITTED_ON])
    if phone == FITTED_ON:
        return rates
    return rates * factor([row for row in given if row.phone == phone], rates)


def fit_rates(rows: Sequence[Row]) -> Floats:
    """Fit rates to the rows of one phone, shape (6,)."""
    weights = family_weights(rows)
    each = [
        _scaled(row.spec, row.latency_ms, np.sqrt(w)) for row, w in zip(rows, weights, strict=True)
    ]
    pairs = [
        _difference(row, base, np.sqrt(_DIFFERENCE_WEIGHT * w))
        for row, w in zip(rows, weights, strict=True)
        for base in rows
        if row.variant and row.variant != ABLATED and base.variant == ABLATED
    ]
    table = np.array(each + pairs)  # (equations, 6 + 1)
    return nonnegative_least_squares(table[:, :-1], table[:, -1])


def _scaled(spec: ArchSpec, latency_ms: float, root_weight: float) -> Floats:
    """Return the equation work / latency = 1, whose error is relative."""
    return np.append(cached_work(spec) / latency_ms, 1.0) * root_weight


def _difference(row: Row, base: Row, root_weight: float) -> Floats:
    more = np.append(
        cached_work(row.spec) - cached_work(base.spec), row.latency_ms - base.latency_ms
    )
    return more / base.latency_ms * root_weight


def family_weights(rows: Sequence[Row]) -> Floats:
    """Return row weights that give each family the same total, shape (rows,)."""
    sizes = Counter(row.family for row in rows)
    return np.array([1 / sizes[row.family] for row in rows])


def factor(rows: Sequence[Row], rates: Floats) -> float:
    """Return the geometric mean of published over estimated latency, each family with the same weight."""
    logs = [np.log(row.latency_ms / (cached_work(row.spec) @ rates)) for row in rows]
    return float(np.exp(np.average(logs, weights=family_weights(rows))))


@cache
def cached_work(spec: ArchSpec) -> Floats:
    """Memoize `work` for the published networks."""
    return work(spec)


def nonnegative_least_squares(a: Floats, b: Floats) -> Floats:
    """Return the x >= 0 that minimizes |a x - b|, for a of shape (equations, few).

    Exact: the best nonnegative one of the unconstrained solutions on every subset of columns; six columns
    have 63 subsets.

    >>> nonnegative_least_squares(np.array([[1.0, 1.0], [1.0, 2.0]]), np.array([2.0, 1.0])).round(9)
    array([1.5, 0. ])
    """
    scale = np.linalg.norm(a, axis=0)
    columns = np.flatnonzero(scale)
    unit = a / np.where(scale > 0, scale, 1.0)
    best, least = np.zeros(a.shape[1]), float(b @ b)
    for size in range(1, len(columns) + 1):
        for subset in map(list, combinations(columns, size)):
            x = np.linalg.lstsq(unit[:, subset], b, rcond=None)[0]
            error = float(np.sum((unit[:, subset] @ x - b) ** 2))
            if x.min() >= 0 and error < least:
                best, least = np.zeros(a.shape[1]), error
                best[subset] = x / scale[subset]
    return best


assert len(KINDS) <= 8, "2^kinds subsets are tried"
