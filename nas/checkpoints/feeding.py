"""How to feed a network: the description written into its exported file and next to it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from nas.checkpoints.feed_reader import CROPS, FIXED, SCHEMA, STRETCH, Reader
from nas.checkpoints.usage import Usage
from nas.tasks import CLASSIFY, task_of_spec
from nas.tasks.augmentation.augment import normalize
from search_spaces import ArchSpec, InputError
from search_spaces.spec import to_dict

if TYPE_CHECKING:
    from nas.checkpoints.checkpoint import Checkpoint

KEY = "mobile_nas"
"""Key of the description in an ONNX or LiteRT file's metadata; in JSON, of the version that wrote it."""

Layout = Literal["NCHW", "NHWC"]
Kind = Literal["float32", "float16", "uint8", "int8"]
Values = Literal["normalized", "pixels"]
Outputs = Literal["logits", "probabilities", "predictions"]
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
        outputs: Whether they are logits (of a detector, scores and offsets), probabilities, or what
            `nas.tasks.task.Task.postprocessing` makes of them.
        quantization: Scale and zero point of a quantized input.
        version: Version of mobile-nas that wrote the file; empty for files from elsewhere.
        spec: The network, where its outputs cannot be read without it: of a detector, for example.
    """

    usage: Usage
    size_px: int
    layout: Layout = "NCHW"
    dtype: Kind = "float32"
    values: Values = "normalized"
    outputs: Outputs = "logits"
    quantization: tuple[float, int] | None = None
    version: str = field(default_factory=lambda: _own_version())
    spec: ArchSpec | None = None

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> Feed:
        """Describe a checkpoint at its deployed resolution."""
        return cls(checkpoint.usage, checkpoint.spec.resolution).of_network(checkpoint.spec)

    def of_network(self, spec: ArchSpec) -> Feed:
        """Return this description with the network, where its outputs cannot be read without it."""
        return self if task_of_spec(spec) == CLASSIFY else replace(self, spec=spec)

    @property
    def task(self) -> str:
        """Name of the network's task; see `nas.tasks.task_of`."""
        return CLASSIFY if self.spec is None else task_of_spec(self.spec)

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
            "crop": STRETCH if self.usage.fit == "stretch" else CROPS[self.usage.crop < 1],
            "crop_fraction": self.usage.crop,
            "outputs": self.outputs,
            "quantization": scale,
            "held_out": self.usage.rule.to_dict(),
            **({} if self.spec is None else {"network": to_dict(self.spec)}),
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
        read = Reader(data, where)
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
            crop=read.crop(),
            fit=read.fit(),
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
            read.network(),
        )


def _own_version() -> str:
    try:
        return version("mobile-nas")
    except PackageNotFoundError:  # running from the source tree
        return "0"
