"""A latency source for the phones of the MobileNetV3 paper."""

from __future__ import annotations

import hashlib
from functools import cache

from latency.estimates.published.fit import fit
from latency.estimates.published.held_out import held_out
from latency.estimates.published.rows import published_rows
from latency.estimates.published.work import KINDS, parts_of, work
from latency.measuring.source import Device, Latency
from search_spaces.errors import InputError
from search_spaces.spec import ArchSpec

PHONES = {"pixel1": "Pixel 1", "pixel2": "Pixel 2", "pixel3": "Pixel 3"}
"""Display names by `--device` name."""

_FAR = 2.0
_VERSION = 1  # increment when `work` changes for unpublished networks


class PublishedEstimate:
    """Estimated latency on a phone of the paper: TFLite of 2019, fp32, one thread, a large core.

    It makes the paper's targets usable: `--device pixel1 --target-ms 60`.

    >>> from search_spaces.references import mobilenet_v3_large
    >>> pixel1 = PublishedEstimate("pixel1")
    >>> pixel1.device.name
    'Pixel 1, estimate from published TFLite figures (held-out error 6%)'
    >>> round(pixel1.latency(mobilenet_v3_large()).median_ms)  # published: 51
    52

    Args:
        phone: One of `PHONES`.

    Raises:
        InputError: Another phone.
    """

    def __init__(self, phone: str) -> None:
        if phone not in PHONES:
            raise InputError(f"no published estimate of {phone!r}: known are {', '.join(PHONES)}")
        self.phone = phone
        self.rates = fit(phone)  # nanoseconds per operation, (6,)
        error = held_out(phone).mape
        name = (
            f"{PHONES[phone]}, estimate from published TFLite figures (held-out error {error:.0%})"
        )
        version = " ".join([f"v{_VERSION}", *(f"{rate:.4g}" for rate in self.rates)])
        digest = hashlib.sha256(version.encode()).hexdigest()[:12]
        self.device = Device(name, f"{phone}-{digest}", estimate=True)

    def latency(self, spec: ArchSpec) -> Latency:
        """Return the estimate; it is `stable` even where `beyond` finds something.

        Unstable readings are measured again, and an estimate never changes.
        """
        return Latency.exactly(float(work(spec) @ self.rates), self.device)

    def by_kind(self, spec: ArchSpec) -> dict[str, float]:
        """Return milliseconds of each kind of work; their sum is the latency."""
        return dict(zip(KINDS, (work(spec) * self.rates).tolist(), strict=True))

    def beyond(self, spec: ArchSpec) -> tuple[str, ...]:
        """Return, in words, what no published network has; empty if there is nothing.

        The held-out error holds where this is empty; otherwise the estimate is an extrapolation.

        >>> from search_spaces.references import mobilenet_v3_large
        >>> PublishedEstimate("pixel1").beyond(mobilenet_v3_large(resolution=448))
        ('199 ms, where published figures are 4.4 to 77 ms',)
        """
        low, high = _range_ms(self.phone)
        ms = self.latency(spec).median_ms
        far = not low / _FAR <= ms <= high * _FAR
        size = [f"{ms:.3g} ms, where published figures are {low:g} to {high:g} ms"] if far else []
        return (*sorted(parts_of(spec) - _published_parts()), *size)


@cache
def _published_parts() -> frozenset[str]:
    return frozenset[str]().union(*(parts_of(row.spec) for row in published_rows()))


@cache
def _range_ms(phone: str) -> tuple[float, float]:
    published = [row.latency_ms for row in published_rows() if row.phone == phone]
    return min(published), max(published)
