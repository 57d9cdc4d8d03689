"""LiteRT files: run them, and read or write the description of their input."""

from __future__ import annotations

import hashlib
import io
import zipfile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.checkpoints.feeding import KEY, Feed, Images, Values
from nas.checkpoints.usage import Usage
from nas.export.running import Arrays, Takes, free, joined, of_each_image, taken
from nas.usable_cores import usable_cores
from search_spaces import InputError
from search_spaces.exporting.litert_export import litert_module

LABELS, DESCRIPTION, DIGEST = "labels.txt", f"{KEY}.json", "model.sha256"
"""File in the zip archive appended to a model, where TensorFlow Lite's tools look for labels."""


class LiteRtRun:
    """Runs a `.tflite` on the CPU; see `nas.export.running.Run`.

    Args:
        model: The file's content.
        where: Its name, for messages.

    Raises:
        InputError: LiteRT is not installed or refuses the file, or the model does not take an image.
    """

    def __init__(self, model: bytes, *, where: str) -> None:
        self._where = where
        _require_whole(model, where)
        module = litert_module("ai_edge_litert.interpreter")
        try:
            self._interpreter = module.Interpreter(model_content=model, num_threads=usable_cores())
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise _refused(where, error) from error
        inputs, outputs = (
            self._interpreter.get_input_details(),
            self._interpreter.get_output_details(),
        )
        if len(inputs) != 1 or not outputs:
            raise InputError(
                f"{where}: it has {len(inputs)} inputs and {len(outputs)} outputs: give a network that "
                "takes one image"
            )
        (self._given,), self._got = inputs, outputs
        self.takes: Takes = self._taken()

    def _taken(self) -> Takes:
        scale, zero = self._given["quantization"]
        shape = [int(side) for side in self._given.get("shape_signature", self._given["shape"])]
        shape[:1] = [int(side) for side in self._given["shape"][:1]]  # a dynamic batch runs at 1
        dtype = np.dtype(self._given["dtype"]).name
        quantization = (float(scale), int(zero)) if scale else None
        takes = taken(shape, dtype, where=self._where, layout="NHWC", quantization=quantization)
        if takes.batch != 1 or takes.size_px is None:
            raise InputError(f"{self._where}: its input {shape} is not one image of a fixed size")
        return takes

    @property
    def classes(self) -> int | None:
        """Number of outputs."""
        shape = self._got[0]["shape"]
        return int(shape[1]) if len(shape) == 2 and not free(int(shape[1])) else None

    def __call__(self, images: Images) -> Arrays:
        """Compute outputs, one image at a time."""
        if self.takes.layout == "NHWC":
            images = np.moveaxis(images, 1, -1)
        return joined([self._one(image) for image in np.ascontiguousarray(images)])

    def _one(self, image: NDArray[Any]) -> list[NDArray[Any]]:
        try:
            self._interpreter.set_tensor(self._given["index"], _encoded(image[None], self._given))
            self._interpreter.invoke()
            values = [self._interpreter.get_tensor(got["index"]) for got in self._got]
        except (ValueError, RuntimeError) as error:
            raise _refused(self._where, error) from error
        decoded = [_decoded(value, got) for value, got in zip(values, self._got, strict=True)]
        if self.takes.layout == "NHWC":  # maps are laid out as the image is
            decoded = [np.moveaxis(one, -1, 1) if one.ndim == 4 else one for one in decoded]
        return of_each_image(decoded, 1, where=self._where)


def open_litert(model: bytes, *, where: str = "LiteRT") -> LiteRtRun:
    """Open a `.tflite`; images are converted to its layout and quantization.

    Raises:
        InputError: See `LiteRtRun`.
    """
    return LiteRtRun(model, where=where)


def describe_litert(model: bytes, usage: Usage) -> Feed:
    """Describe how to feed a `.tflite`, from its input; uint8 without a scale means pixels."""
    takes = open_litert(model).takes
    assert takes.size_px is not None
    pixels = takes.dtype == "uint8" and takes.quantization is None
    values: Values = "pixels" if pixels else "normalized"
    return Feed(
        usage,
        takes.size_px,
        takes.layout,
        takes.dtype,
        values,
        quantization=takes.quantization,
    )


def stamp_litert(model: bytes, feed: Feed) -> bytes:
    """Write the description of its input into a `.tflite`: as metadata `mobile_nas`, and labels."""
    schema = litert_module("ai_edge_litert.schema_py_generated")
    tools = litert_module("ai_edge_litert.tools.flatbuffer_utils")
    content = tools.read_model_from_bytearray(bytearray(model))
    entry, buffer = schema.MetadataT(), schema.BufferT()
    buffer.data = np.frombuffer(feed.to_json().encode(), np.uint8)
    entry.name, entry.buffer = KEY, len(content.buffers)
    content.buffers.append(buffer)
    content.metadata = [*(content.metadata or []), entry]
    return _with_archive(bytes(tools.convert_object_to_bytearray(content)), feed)


def description_of(model: bytes, *, where: str) -> bytes | None:
    """Return the description that `stamp_litert` wrote; None for other files.

    Raises:
        InputError: LiteRT is not installed, or the file is damaged.
    """
    schema = litert_module("ai_edge_litert.schema_py_generated")
    try:
        content = schema.Model.GetRootAs(model)
        for index in range(content.MetadataLength()):
            entry = content.Metadata(index)
            if entry.Name() == KEY.encode():
                return bytes(content.Buffers(entry.Buffer()).DataAsNumpy())
    except Exception as error:  # a truncated flatbuffer may raise anything
        raise _refused(where, error) from error
    return None


def _with_archive(model: bytes, feed: Feed) -> bytes:
    """Append an archive with the class names, one per line, and the description."""
    # Line breaks in a name would shift all following labels.
    labels = "".join(" ".join(name.splitlines()) + "\n" for name in feed.classes)
    content = io.BytesIO(model)
    with zipfile.ZipFile(content, "a") as archive:
        digest = hashlib.sha256(model).hexdigest()
        texts = {LABELS: labels, DESCRIPTION: feed.to_json() + "\n", DIGEST: digest + "\n"}
        for name, text in texts.items():
            # No date: the same network must give the same file.
            archive.writestr(zipfile.ZipInfo(name), text.encode("utf-8", "surrogateescape"))
    return content.getvalue()


def _require_whole(model: bytes, where: str) -> None:
    """Check the digest that `stamp_litert` wrote: LiteRT crashes on some damaged files.

    Raises:
        InputError: The digest does not match.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(model)) as archive:
            start = min(entry.header_offset for entry in archive.infolist())
            written = archive.read(DIGEST).decode().strip()
    except Exception:  # noqa: BLE001  no archive or no such entry: a file of another program
        return
    if hashlib.sha256(model[:start]).hexdigest() != written:
        raise InputError(f"{where}: damaged (its checksum does not match): export or copy it again")


def _encoded(values: NDArray[Any], tensor: dict[str, Any]) -> NDArray[Any]:
    """Quantize values to a tensor's type."""
    scale, zero = tensor["quantization"]
    if not scale or values.dtype == tensor["dtype"]:
        return values.astype(tensor["dtype"], copy=False)
    limits = np.iinfo(tensor["dtype"])
    levels = np.round(values / scale) + zero
    encoded: NDArray[Any] = np.clip(levels, limits.min, limits.max).astype(tensor["dtype"])
    return encoded


def _decoded(values: NDArray[Any], tensor: dict[str, Any]) -> NDArray[np.float32]:
    """Dequantize a tensor's values, as a copy: the interpreter reuses its memory."""
    scale, zero = tensor["quantization"]
    floats = values.astype(np.float32)
    return (floats - np.float32(zero)) * np.float32(scale) if scale else floats


def _refused(where: str, error: Exception) -> InputError:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return InputError(f"{where}: LiteRT refuses it ({reason}): damaged, or not a LiteRT file")
