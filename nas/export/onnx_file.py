"""ONNX files: run them, and read or write the description of their input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray

from nas.checkpoints.feeding import KEY, Feed, Images, Layout, Values
from nas.checkpoints.usage import Usage
from nas.export.running import Arrays, Takes, free, joined, of_each_image, steps, taken
from search_spaces import InputError

NUMPY_NAMES = {"tensor(float)": "float32", "tensor(double)": "float64"}


class OnnxRun:
    """Runs an ONNX model on the CPU; see `nas.export.running.Run`.

    Args:
        session: The model's session.
        where: Its name, for messages.
        layout: Layout, if the file does not determine it.

    Raises:
        InputError: The model does not take images.
    """

    def __init__(self, session: Any, *, where: str, layout: Layout = "NCHW") -> None:
        self._session, self._where = session, where
        inputs = session.get_inputs()
        if len(inputs) != 1:
            raise InputError(
                f"{where}: it has {len(inputs)} inputs: give a network that takes one image"
            )
        kind = inputs[0].type
        dtype = NUMPY_NAMES.get(kind, kind.removeprefix("tensor(").removesuffix(")"))
        self._name = inputs[0].name
        self.takes: Takes = taken(inputs[0].shape, dtype, where=where, layout=layout)

    @property
    def classes(self) -> int | None:
        """Number of outputs; None if the file does not say."""
        shape: list[Any] = self._session.get_outputs()[0].shape
        return shape[1] if len(shape) == 2 and not free(shape[1]) else None

    def description(self) -> str | None:
        """The description that `stamp_onnx` wrote, if any."""
        found: str | None = self._session.get_modelmeta().custom_metadata_map.get(KEY)
        return found

    def __call__(self, images: Images) -> Arrays:
        """Compute outputs in batches of the file's size."""
        return joined(
            [
                [output[:count] for output in self._step(part)]
                for part, count in steps(images, self.takes.batch)
            ]
        )

    def _step(self, images: Images) -> list[NDArray[Any]]:
        if self.takes.layout == "NHWC":
            images = np.moveaxis(images, 1, -1)
        feed = np.ascontiguousarray(images, dtype=self.takes.dtype)
        try:
            found = self._session.run(None, {self._name: feed})
        except Exception as error:
            raise _refused(self._where, error) from error
        return of_each_image([np.asarray(one) for one in found], len(feed), where=self._where)


def open_onnx(model: bytes | Path, *, where: str = "ONNX", layout: Layout = "NCHW") -> OnnxRun:
    """Open an ONNX model on the CPU.

    Args:
        model: Serialized, or a file, which may keep its weights in another file next to it.
        where: Its name, for messages.
        layout: Layout, if the input's shape does not determine it.

    Raises:
        InputError: ONNX Runtime refuses the model, or it does not take images.
    """
    options = ort.SessionOptions()
    options.log_severity_level = 4  # errors are raised as well
    given = model if isinstance(model, bytes) else str(model)
    try:
        session = ort.InferenceSession(
            given, options, providers=["CPUExecutionProvider"], enable_fallback=0
        )
    except Exception as error:
        raise _refused(where, error) from error
    return OnnxRun(session, where=where, layout=layout)


def describe_onnx(model: bytes, usage: Usage) -> Feed:
    """Describe how to feed an ONNX model, from its input; uint8 means pixels."""
    takes = open_onnx(model).takes
    assert takes.size_px is not None
    values: Values = "pixels" if takes.dtype == "uint8" else "normalized"
    return Feed(usage, takes.size_px, takes.layout, takes.dtype, values)


def stamp_onnx(model: bytes, feed: Feed) -> bytes:
    """Write the description of its input into an ONNX model: as metadata `mobile_nas`."""
    content = onnx.load_from_string(model)
    known = {entry.key: entry.value for entry in content.metadata_props}
    # Class names on their own, for programs that display metadata.
    ours = {KEY: feed.to_json(), "classes": json.dumps(list(feed.classes))}
    onnx.helper.set_model_props(content, known | ours)
    return bytes(content.SerializeToString())


def _refused(where: str, error: Exception) -> Exception:
    """Convert the runtime's refusal to an InputError; return any other error, which is a bug, as it is."""
    if isinstance(error, MemoryError):
        return InputError(f"{where}: not enough memory: give a smaller model, or fewer images")
    # Names in a damaged file may not be text.
    if type(error).__module__.startswith("onnxruntime") or isinstance(error, UnicodeDecodeError):
        reason = (str(error).strip().splitlines() or ["no reason given"])[0]
        return InputError(
            f"{where}: ONNX Runtime refuses it ({reason}): damaged, or not an ONNX file"
        )
    return error
