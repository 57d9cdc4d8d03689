"""Variance components of trial accuracies, to judge how to train a trial.

Columns of the table; variances are in squared points:

    between      networks' true accuracies
    seeds        of one network between seeds
    images       interaction of a network with these held-out images, which seeds do not show: estimated
                 from rank changes between parts of the images
    difference   of two networks, trained with equal seeds and with different ones, without `images`; common
                 random numbers help as far as the first is smaller
    noise        half the first difference with common random numbers, else `seeds`; plus `images`
    reliability  between / (between + noise)
    noise x s    noise times CPU seconds of a trial: lower is better
    of plain     relative to the first row

In brackets: 95% bootstrap intervals over networks. With few networks they are too narrow.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 1000

Readings = NDArray[np.float64]
"""Accuracies in percent, (networks, seeds, parts of the held-out images); or seconds, (networks, seeds)."""


@dataclass(frozen=True)
class Variant:
    """Trainings of a kind.

    Attributes:
        name: Name in the table.
        points: Accuracies in percent, (networks, seeds, parts).
        cpu_s: CPU seconds of each training with its evaluation, (networks, seeds).
        common: Whether all networks share each seed.
    """

    name: str
    points: Readings
    cpu_s: Readings
    common: bool

    def only(self, chosen: NDArray[np.int64]) -> "Variant":
        """Select networks, possibly repeated."""
        return Variant(self.name, self.points[chosen], self.cpu_s[chosen], self.common)


@dataclass(frozen=True)
class Components:
    """See the module docstring."""

    between: float
    seeds: float
    images: float
    difference_same_seed: float
    difference_other_seeds: float
    noise: float

    @property
    def reliability(self) -> float:
        return self.between / (self.between + self.noise) if self.between > 0 else 0.0


def components(points: Readings, *, common: bool) -> Components:
    """Estimate variance components by the method of moments, from readings of (networks, seeds, parts)."""
    networks, seeds, parts = points.shape
    readings = points.mean(axis=2)  # (networks, seeds)
    within = readings.var(axis=1, ddof=1).mean()
    shared = (_residual(readings) ** 2).sum() / ((networks - 1) * (seeds - 1))
    by_part = (_residual(points.mean(axis=1)) ** 2).sum() / ((networks - 1) * (parts - 1))
    chance = sum((_residual(one) ** 2).sum() for one in points)
    chance /= networks * (seeds - 1) * (parts - 1)
    # Two seeds or more stand in each part's mean: their chance is no luck of the network.
    images = max(0.0, by_part - chance / seeds) / parts
    of_seeds = shared if common else within
    between = readings.mean(axis=1).var(ddof=1) - of_seeds / seeds - images
    noise = of_seeds + images
    return Components(max(0.0, between), within, images, 2 * shared, 2 * within, noise)


def _residual(table: Readings) -> Readings:
    """Return the residual after row and column means."""
    rows, columns = table.mean(axis=1, keepdims=True), table.mean(axis=0, keepdims=True)
    residual: Readings = table - rows - columns + table.mean()
    return residual


def rows(variants: list[Variant]) -> list[dict[str, Any]]:
    """Return the table as plain data; the first variant is the reference."""
    networks = len(variants[0].points)
    resampled = np.random.default_rng(0).integers(networks, size=(RESAMPLES, networks))
    return [_row(variant, variants[0], resampled) for variant in variants]


def _row(variant: Variant, plain: Variant, resampled: NDArray[np.int64]) -> dict[str, Any]:
    def worth(of: Variant) -> float:
        return components(of.points, common=of.common).noise * float(of.cpu_s.mean())

    def figures(chosen: NDArray[np.int64]) -> tuple[float, float, float]:
        own = variant.only(chosen)
        seconds, beside = worth(own), worth(plain.only(chosen))
        reliability = components(own.points, common=own.common).reliability
        return reliability, seconds, seconds / beside if beside else np.nan

    names = ("reliability", "noise_seconds", "of_plain")
    intervals = np.nanquantile([figures(chosen) for chosen in resampled], [0.025, 0.975], axis=0)
    row: dict[str, Any] = {"variant": variant.name, "accuracy": float(variant.points.mean())}
    row |= asdict(components(variant.points, common=variant.common))
    row |= {"cpu_s": float(variant.cpu_s.mean())}
    row |= dict(zip(names, figures(np.arange(len(variant.points))), strict=True))
    row |= {f"{name}_interval": list(intervals[:, n]) for n, name in enumerate(names)}
    return {name: _rounded(value) for name, value in row.items()}


def _rounded(value: Any) -> Any:
    if isinstance(value, list):
        return [_rounded(one) for one in value]
    return value if isinstance(value, str) else round(float(value), 4)


def show(table: list[dict[str, Any]]) -> None:
    """Print the table."""
    print(
        "\n| variant | accuracy | between | seeds | images | difference: same seed, others "
        "| reliability | CPU s | noise x s | of plain |\n|---|---|---|---|---|---|---|---|---|---|"
    )
    for row in table:
        variances = " | ".join(f"{row[name]:.2f}" for name in ("between", "seeds", "images"))
        same, others = row["difference_same_seed"], row["difference_other_seeds"]
        reliability, seconds, ratio = (
            "{:.2f} ({:.2f} to {:.2f})".format(row[name], *row[f"{name}_interval"])
            for name in ("reliability", "noise_seconds", "of_plain")
        )
        print(
            f"| {row['variant']} | {row['accuracy']:.1f}% | {variances} | {same:.2f}, {others:.2f} "
            f"| {reliability} | {row['cpu_s']:.1f} | {seconds} | {ratio} |"
        )
