"""Read the description of a network's input with all its values checked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from PIL import ImageColor

from nas.data.image_files.preparation import LEAST_CROP, Fit
from nas.data.splits.rule import SplitRule
from search_spaces import ArchSpec, InputError
from search_spaces.spec import from_dict

SCHEMA = 1

FIXED = {
    "channels": "RGB",
    "orientation": "exif",
    "resize": "bilinear-antialiased",
}
"""Preprocessing that is the same for every network: see `nas.data.image_files.decode.square_rgb`."""

CROPS = ("center-square", "center-fraction")
"""Without and with a `crop_fraction` below 1. Earlier versions do not know the second, and refuse it."""

STRETCH = "stretch"
"""All of the image, whatever its shape, as detectors see it."""

LARGEST_PX = 16_384


@dataclass(frozen=True)
class Reader:
    """Reads checked values from a description; all methods raise InputError.

    Attributes:
        data: The description: docs/how-to/deploy.md explains its keys.
        where: The file's name, for messages.
    """

    data: Mapping[str, Any]
    where: str

    def known_schema(self) -> None:
        """Check the schema, and what is the same for every network."""
        schema = self.data.get("schema", SCHEMA)
        if schema != SCHEMA:
            raise InputError(
                f"{self.where}: its description has schema {schema!r}, and this mobile-nas reads {SCHEMA}: "
                "upgrade mobile-nas"
            )
        for key, only in FIXED.items():
            self.choice(key, (only,))

    def required(self, key: str) -> Any:
        """Return a value that must be given."""
        if self.data.get(key) is None:
            raise InputError(
                f"{self.where}: {key!r} is missing in its description: see docs/how-to/deploy.md"
            )
        return self.data[key]

    def choice(self, key: str, known: tuple[str, ...]) -> str:
        """Return one of these values, the first by default."""
        value = self.data.get(key, known[0])
        if value not in known:
            raise self.wrong(key, " or ".join(known))
        return str(value)

    def classes(self) -> tuple[str, ...]:
        """Return the class names."""
        names = self.required("classes")
        if not isinstance(names, list) or not names or any(not isinstance(n, str) for n in names):
            raise self.wrong("classes", "a list of names")
        return tuple(names)

    def pixels(self, key: str, default: int | None) -> int:
        """Return a side in pixels."""
        value = default if self.data.get(key) is None else self.data[key]
        if value is None:
            self.required(key)
        if type(value) is not int or not 1 <= value <= LARGEST_PX:
            raise self.wrong(key, f"a whole number from 1 to {LARGEST_PX}")
        return value

    def triple(self, key: str, *, positive: bool = False) -> tuple[float, float, float]:
        """Return a number for each channel."""
        values = self.required(key)
        good = isinstance(values, list) and len(values) == 3 and all(map(_is_number, values))
        if not good or (positive and min(values) <= 0):
            raise self.wrong(key, "three numbers" + (" above 0" if positive else ""))
        red, green, blue = map(float, values)
        return red, green, blue

    def background(self) -> str:
        """Return the color behind transparent pixels."""
        value = self.data.get("background", "white")
        try:
            ImageColor.getrgb(value)
        except (ValueError, AttributeError, TypeError) as error:
            raise self.wrong("background", "a color such as white or #ffffff") from error
        return str(value)

    def crop(self) -> float:
        """Return the fraction of the shorter side that is seen."""
        kind, fraction = self.choice("crop", (*CROPS, STRETCH)), self.data.get("crop_fraction")
        if kind in (CROPS[0], STRETCH):
            if fraction is not None and fraction != 1:
                raise self.wrong("crop_fraction", f"1, as its 'crop' is {kind}")
            return 1.0
        fraction = self.required("crop_fraction")
        if not _is_number(fraction) or not LEAST_CROP <= fraction <= 1:
            raise self.wrong("crop_fraction", f"a number from {LEAST_CROP:g} to 1")
        return float(fraction)

    def fit(self) -> Fit:
        """Return whether a square or all of an image is seen."""
        return "stretch" if self.choice("crop", (*CROPS, STRETCH)) == STRETCH else "crop"

    def network(self) -> ArchSpec | None:
        """Return the network, if it is described."""
        value = self.data.get("network")
        return None if value is None else from_dict(value, where=f"{self.where}, network")

    def rule(self) -> SplitRule:
        """Return how images were held out; the default if it is not given."""
        value = self.data.get("held_out")
        if value is None:
            return SplitRule()
        try:
            return SplitRule.from_dict(value)
        except (ValueError, AttributeError) as error:
            raise self.wrong(
                "held_out", "val_fraction, test_fraction, seed and split_by"
            ) from error

    def quantization(self) -> tuple[float, int] | None:
        """Return scale and zero point, if the input is quantized."""
        value = self.data.get("quantization")
        if value is None:
            return None
        try:
            return float(value["scale"]), int(value["zero_point"])
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise self.wrong("quantization", "null, or scale and zero_point") from error

    def wrong(self, key: str, wanted: str) -> InputError:
        """Return the error for an invalid value."""
        shown = repr(self.data.get(key))
        shown = shown if len(shown) <= 60 else shown[:57] + "..."
        return InputError(f"{self.where}: {key!r} in its description must be {wanted}, got {shown}")


def _is_number(value: object) -> bool:
    return type(value) in (int, float) and math.isfinite(cast("float", value))
