"""A model file once opened: self-contained, with fixed dimensions."""

from __future__ import annotations

from dataclasses import dataclass

LARGEST = 2**31 - 1
"""Maximum bytes of a file in either format: protobuf and flatbuffers have 32-bit sizes."""


@dataclass(frozen=True)
class ModelFile:
    """A self-contained model that takes one image of a fixed size.

    Attributes:
        content: The file's bytes.
        height: Height of its input in pixels.
        width: Width of its input in pixels.
    """

    content: bytes
    height: int
    width: int
