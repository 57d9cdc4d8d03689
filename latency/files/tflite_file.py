"""Open a LiteRT file to measure: one image input of a fixed size.

A `.tflite` file is a flatbuffer. The few fields needed are read from its bytes, so that LiteRT need not be
installed to measure a file on a phone.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from latency.files.image_input import ImageInput
from latency.files.self_contained import ModelFile
from search_spaces.errors import InputError

# Field numbers of tables in TensorFlow Lite's schema.
SUBGRAPHS, TENSORS, INPUTS = 2, 0, 1
SHAPE, TYPE, NAME, SIGNATURE = 0, 1, 3, 7
TYPES = {0: "float32", 1: "float16", 2: "int32", 3: "uint8", 4: "int64", 7: "int16", 9: "int8"}
"""Image types by their number in the schema; others are strings, booleans and the like."""


def open_tflite(path: Path, content: bytes, *, resolution: int | None) -> ModelFile:
    """Fix the input's size; runtimes infer all other shapes from it.

    Raises:
        InputError: It is damaged, does not take one image, or its size is unknown.
    """
    try:
        image, tensor = _read(path, Flatbuffer(content))
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is damaged or truncated: export or download it again") from error
    shape = image.at(resolution)
    if image.shape != shape:
        content = _fixed(path, content, tensor, shape)
    height, width = image.size_of(shape)
    return ModelFile(content, height, width)


@dataclass(frozen=True)
class Flatbuffer:
    """Reads a flatbuffer; positions outside raise `struct.error` or `IndexError`."""

    data: bytes

    def root(self) -> int:
        """Return the position of the root table."""
        return self._unsigned(0)

    def field(self, table: int, number: int) -> int | None:
        """Return the position of a table's field; None if it is missing."""
        (back,) = self._unpack("<i", table)
        vtable = table - back
        (size,) = self._unpack("<H", vtable)
        at = 4 + 2 * number
        if at + 2 > size:
            return None
        (offset,) = self._unpack("<H", vtable + at)
        return table + offset if offset else None

    def target(self, at: int) -> int:
        """Follow the reference at a position."""
        return at + self._unsigned(at)

    def vector(self, table: int, number: int) -> tuple[int, ...]:
        """Return the positions of a vector's 4-byte items; empty if it is missing."""
        at = self.field(table, number)
        if at is None:
            return ()
        start = self.target(at)
        count = self._unsigned(start)
        if start + 4 + 4 * count > len(self.data):
            raise IndexError(count)
        return tuple(range(start + 4, start + 4 + 4 * count, 4))

    def numbers(self, table: int, number: int) -> tuple[int, ...]:
        """Return a vector of signed integers."""
        return tuple(self._unpack("<i", at)[0] for at in self.vector(table, number))

    def text(self, table: int, number: int) -> str:
        """Return a string; empty if it is missing."""
        at = self.field(table, number)
        if at is None:
            return ""
        start = self.target(at)
        return self.data[start + 4 : start + 4 + self._unsigned(start)].decode()

    def byte(self, table: int, number: int) -> int:
        """Return a 1-byte integer; 0 if it is missing."""
        at = self.field(table, number)
        return 0 if at is None else self.data[at]

    def _unsigned(self, at: int) -> int:
        value: int = self._unpack("<I", at)[0]
        return value

    def _unpack(self, form: str, at: int) -> tuple[int, ...]:
        if at < 0:
            raise IndexError(at)
        return struct.unpack_from(form, self.data, at)


def _read(path: Path, file: Flatbuffer) -> tuple[ImageInput, int]:
    """Return the input, and the position of its table."""
    graphs = file.vector(file.root(), SUBGRAPHS)
    main = file.target(graphs[0])
    inputs, tensors = file.numbers(main, INPUTS), file.vector(main, TENSORS)
    if len(inputs) != 1:
        raise InputError(
            f"{path} has {len(inputs) or 'no'} inputs: only networks that take one image are measured"
        )
    if inputs[0] < 0:
        raise IndexError(inputs[0])
    tensor = file.target(tensors[inputs[0]])
    name, kind = file.text(tensor, NAME), file.byte(tensor, TYPE)
    if kind not in TYPES:
        raise InputError(
            f"{path}: its input {name!r} has type {kind} of LiteRT's schema, not an image type: only "
            "networks that take an image are measured"
        )
    shape = file.numbers(tensor, SIGNATURE) or file.numbers(tensor, SHAPE)
    sides = tuple(side if side > 0 else "" for side in shape)
    return ImageInput(str(path), name, sides, channels_last=True), tensor


def _fixed(path: Path, content: bytes, tensor: int, shape: tuple[int, ...]) -> bytes:
    """Change a tensor's shape; the new one is appended, since vectors may be shared."""
    data = bytearray(content)
    file = Flatbuffer(content)
    if file.field(tensor, SHAPE) is None:
        raise InputError(f"{path}: its input has no shape to fix: export it with one")
    for number in (SHAPE, SIGNATURE):
        at = file.field(tensor, number)
        if at is None:
            continue
        data += bytes(-len(data) % 4)
        struct.pack_into("<I", data, at, len(data) - at)
        data += struct.pack(f"<{1 + len(shape)}i", len(shape), *shape)
    return bytes(data)
