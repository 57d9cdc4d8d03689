"""How images are held out if a data set has no val or test split of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self, get_args

SplitBy = Literal["name", "random"]


@dataclass(frozen=True)
class SplitRule:
    """Which images are held out; kept in checkpoints, so that training images are never tested on.

    Attributes:
        val_fraction: Fraction of each class that becomes val.
        test_fraction: Fraction of each class that becomes test.
        seed: Random seed of the split.
        split_by: `name` draws an image by its class and file name, so that adding images moves hardly any
            other; `random` draws it by its position.
    """

    val_fraction: float = 0.2
    test_fraction: float = 0.2
    seed: int = 0
    split_by: SplitBy = "name"

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Inverse of `to_dict`.

        Raises:
            ValueError: A value is missing or invalid.
        """
        val, test = (_fraction(data, name) for name in ("val_fraction", "test_fraction"))
        seed, split_by = data.get("seed"), data.get("split_by")
        if type(seed) is not int or split_by not in get_args(SplitBy):
            raise ValueError(f"seed {seed!r}, split_by {split_by!r}")
        return cls(val, test, seed, split_by)  # type: ignore[arg-type] # checked above


def _fraction(data: Mapping[str, Any], name: str) -> float:
    value = data.get(name)
    if not isinstance(value, int | float) or not 0 < value < 1:
        raise ValueError(f"{name} {value!r}")
    return float(value)


BY_DEFAULT = SplitRule()
"""A fifth each."""
