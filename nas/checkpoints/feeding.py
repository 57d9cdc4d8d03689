"""How to feed a network: the description written into its exported file and next to it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import ImageColor

from nas.checkpoints.usage import Usage
from nas.data.splits.rule import SplitRule
from nas.training.augmentation.augment import normalize
from search_spaces import InputError

if TYPE_CHECKING:
    from nas.checkpoints.checkpoint import Checkpoint

SCHEMA = 1
KEY = "mobile_nas"
"""Key of the description in an ONNX or LiteRT file's metadata; in JSON, of the version that wrote it."""

FIXED = {
    "channels": "RGB",
    "orientation": "exif",
    "crop": "center-square",
    "resize": "bilinear-antialiased",
}
"""Preprocessing that is the same for every network: see `nas.data.image_files.decode.square_rgb`."""

LARGEST_PX = 16_384

Layout = Literal["NCHW", "NHWC"]
Kind = Literal["float32", "float16", "uint8", "int8"]
Values = Literal["normalized", "pixels"]
Outputs = Literal["logits", "probabilities"]
Images = NDArray[np.float32 | np.uint8]
"""Normalized images or pixels (n, 3, h, w)."""


@dataclass(frozen=True)
class Feed:
    """A network's input format and the meaning of its outputs.

    Attributes:
        usage: Class names, normalization, and the background of transparent pixels.
        size_px: Side of the input.
        layout: Layout of the input.
        dtype: Type of the input.
        values: `normalized` is (pixel / 255 - mean) / std, `pixels` 0..255 as in PIL.
        outputs: Whether they are logits or probabilities.
        quantization: Scale and zero point of a quantized input.
        version: Version of mobile-nas that wrote the file; empty for files from elsewhere.
    """

    usage: Usage
    size_px: int
    layout: Layout = "NCHW"
    dtype: Kind = "float32"
    values: Values = "normalized"
    outputs: Outputs = "logits"
    quantization: tuple[float, int] | None = None
    version: str = field(default_factory=lambda: _own_version())

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> Feed:
        """Describe a checkpoint at its deployed resolution."""
        return cls(checkpoint.usage, checkpoint.spec.resolution)

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, in the order of the outputs."""
        return self.usage.classes

    def prepare(self, pixels: NDArray[np.uint8]) -> Images:
        """Convert pixels (n, 3, h, w) to the network's input values, in the same layout."""
        if self.values == "pixels":
            return pixels
        floats = normalize(torch.from_numpy(pixels), mean=self.usage.mean, std=self.usage.std)
        prepared: Images = floats.contiguous().numpy()
        return prepared

    def to_dict(self) -> dict[str, Any]:
        """Return plain data; docs/how-to/deploy.md explains the keys."""
        scale = None
        if self.quantization is not None:
            scale = {"scale": self.quantization[0], "zero_point": self.quantization[1]}
        return {
            "schema": SCHEMA,
            KEY: self.version,
            "classes": list(self.usage.classes),
            "named": self.usage.named,
            "size_px": self.size_px,
            "trained_px": self.usage.trained_px,
            "layout": self.layout,
            "dtype": self.dtype,
            "values": self.values,
            "mean": list(self.usage.mean),
            "std": list(self.usage.std),
            "background": self.usage.background,
            **FIXED,
            "outputs": self.outputs,
            "quantization": scale,
            "held_out": self.usage.rule.to_dict(),
        }

    def to_json(self) -> str:
        """Return the plain data on one line."""
        return json.dumps(self.to_dict())

    @classmethod
    def from_json(cls, text: str | bytes, *, where: str, size_px: int | None = None) -> Feed:
        """Read a description that `to_json` or a person wrote.

        Args:
            text: JSON.
            where: The file's name, for messages.
            size_px: Side of the input if the text does not give it.

        Raises:
            InputError: Not a JSON object, a missing key, an invalid value, or the schema of a later
                version.
        """
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InputError(
                f"{where}: its description is damaged ({error}): export it again"
            ) from error
        if not isinstance(data, dict):
            raise InputError(
                f"{where}: its description is {type(data).__name__}: it must be an object"
            )
        return cls.from_dict(data, where=where, size_px=size_px)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], *, where: str, size_px: int | None = None) -> Feed:
        """Inverse of `to_dict`; see `from_json`."""
        read = _Reader(data, where)
        read.known_schema()
        size = read.pixels("size_px", size_px)
        usage = Usage(
            classes=read.classes(),
            trained_px=read.pixels("trained_px", size),
            mean=read.triple("mean"),
            std=read.triple("std", positive=True),
            background=read.background(),
            named=bool(data.get("named", True)),
            rule=read.rule(),
        )
        return cls(
            usage,
            size,
            cast("Layout", read.choice("layout", get_args(Layout))),
            cast("Kind", read.choice("dtype", get_args(Kind))),
            cast("Values", read.choice("values", get_args(Values))),
            cast("Outputs", read.choice("outputs", get_args(Outputs))),
            read.quantization(),
            str(data.get(KEY, "")),
        )


@dataclass(frozen=True)
class _Reader:
    """Reads checked values from a description."""

    data: Mapping[str, Any]
    where: str

    def known_schema(self) -> None:
        schema = self.data.get("schema", SCHEMA)
        if schema != SCHEMA:
            raise InputError(
                f"{self.where}: its description has schema {schema!r}, and this mobile-nas reads {SCHEMA}: "
                "upgrade mobile-nas"
            )
        for key, only in FIXED.items():
            self.choice(key, (only,))

    def required(self, key: str) -> Any:
        if self.data.get(key) is None:
            raise InputError(
                f"{self.where}: {key!r} is missing in its description: see docs/how-to/deploy.md"
            )
        return self.data[key]

    def choice(self, key: str, known: tuple[str, ...]) -> str:
        value = self.data.get(key, known[0])
        if value not in known:
            raise self.wrong(key, " or ".join(known))
        return str(value)

    def classes(self) -> tuple[str, ...]:
        names = self.required("classes")
        if not isinstance(names, list) or not names or any(not isinstance(n, str) for n in names):
            raise self.wrong("classes", "a list of names")
        return tuple(names)

    def pixels(self, key: str, default: int | None) -> int:
        value = default if self.data.get(key) is None else self.data[key]
        if value is None:
            self.required(key)
        if type(value) is not int or not 1 <= value <= LARGEST_PX:
            raise self.wrong(key, f"a whole number from 1 to {LARGEST_PX}")
        return value

    def triple(self, key: str, *, positive: bool = False) -> tuple[float, float, float]:
        values = self.required(key)
        good = isinstance(values, list) and len(values) == 3 and all(map(_is_number, values))
        if not good or (positive and min(values) <= 0):
            raise self.wrong(key, "three numbers" + (" above 0" if positive else ""))
        red, green, blue = map(float, values)
        return red, green, blue

    def background(self) -> str:
        value = self.data.get("background", "white")
        try:
            ImageColor.getrgb(value)
        except (ValueError, AttributeError, TypeError) as error:
            raise self.wrong("background", "a color such as white or #ffffff") from error
        return str(value)

    def rule(self) -> SplitRule:
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
        value = self.data.get("quantization")
        if value is None:
            return None
        try:
            return float(value["scale"]), int(value["zero_point"])
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise self.wrong("quantization", "null, or scale and zero_point") from error

    def wrong(self, key: str, wanted: str) -> InputError:
        shown = repr(self.data.get(key))
        shown = shown if len(shown) <= 60 else shown[:57] + "..."
        return InputError(f"{self.where}: {key!r} in its description must be {wanted}, got {shown}")


def _own_version() -> str:
    try:
        return version("mobile-nas")
    except PackageNotFoundError:  # running from the source tree
        return "0"


def _is_number(value: object) -> bool:
    return type(value) in (int, float) and math.isfinite(cast("float", value))
