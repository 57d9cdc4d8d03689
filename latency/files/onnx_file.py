"""Open an ONNX file to measure: one image input of a fixed size, no external data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from latency.files.image_input import ImageInput, Side
from latency.files.onnx_data import inline_data
from latency.files.self_contained import LARGEST, ModelFile
from search_spaces.errors import InputError

PIXELS = ("FLOAT", "FLOAT16", "DOUBLE", "UINT8", "INT8", "UINT16", "INT16", "INT32", "INT64")
"""ONNX's names of image types."""


def open_onnx(path: Path, content: bytes, *, resolution: int | None) -> ModelFile:
    """Inline external data and fix free dimensions; a file without either stays as it is.

    Raises:
        InputError: It is damaged, does not take one image, or its size is unknown.
    """
    model = _parsed(path, content)
    given = _only_input(path, model)
    image = _image(path, model, given)
    shape = image.at(resolution)
    changed = inline_data(model, path)
    if image.shape != shape:
        _fix(model.graph, given, shape)
        changed = True
    if changed:
        if model.ByteSize() > LARGEST:
            raise InputError(f"{path}: it is over 2 GB with its data: not measured")
        content = model.SerializeToString()
    height, width = image.size_of(shape)
    return ModelFile(content, height, width)


def _parsed(path: Path, content: bytes) -> Any:
    import onnx
    from google.protobuf.message import DecodeError

    damaged = InputError(
        f"{path} is damaged, truncated or not an ONNX file: export or download it again"
    )
    try:
        model = onnx.ModelProto.FromString(content)
    except (DecodeError, RuntimeError, ValueError) as error:
        raise damaged from error
    if not model.HasField("graph") or not model.graph.node or not model.graph.output:
        raise damaged
    if not model.opset_import:
        raise InputError(f"{path} has no opset: it is damaged or not an ONNX file: export it again")
    newest = onnx.defs.onnx_opset_version()
    for opset in model.opset_import:
        if opset.domain in ("", "ai.onnx") and not 0 < opset.version <= newest:
            raise InputError(
                f"{path} has opset {opset.version}, and 1 to {newest} are known here: export it with one "
                "of these, 17 for instance"
            )
    return model


def _only_input(path: Path, model: Any) -> Any:
    """Return the input that is not a weight; old files list their weights as inputs too."""
    graph = model.graph
    weights = {tensor.name for tensor in graph.initializer}
    weights |= {tensor.values.name for tensor in graph.sparse_initializer}
    inputs = [value for value in graph.input if value.name not in weights]
    if not inputs:
        raise InputError(f"{path} has no input: only networks that take an image are measured")
    if len(inputs) > 1:
        names = ", ".join(value.name for value in inputs[:5])
        raise InputError(
            f"{path} has {len(inputs)} inputs ({names}): only networks that take one image are measured; "
            "export it with the others as constants"
        )
    return inputs[0]


def _image(path: Path, model: Any, given: Any) -> ImageInput:
    from onnx import TensorProto

    if given.type.WhichOneof("value") != "tensor_type":
        raise InputError(
            f"{path}: its input {given.name!r} is not a tensor: "
            "only networks that take an image are measured"
        )
    tensor = given.type.tensor_type
    names = TensorProto.DataType
    known = tensor.elem_type in names.values()
    kind = names.Name(tensor.elem_type) if known else f"of type {tensor.elem_type}"
    if kind not in PIXELS:
        raise InputError(
            f"{path}: its input {given.name!r} is {kind.lower()}, not an image type: only networks that "
            "take an image are measured"
        )
    shape = tuple(map(_side, tensor.shape.dim)) if tensor.HasField("shape") else None
    channels, channels_last = _first_layer(model.graph, given.name)
    return ImageInput(str(path), given.name, shape, channels, channels_last)


def _side(dim: Any) -> Side:
    """Return a dimension; old exporters write 0 or -1 for a free one."""
    if dim.WhichOneof("value") == "dim_value" and dim.dim_value > 0:
        return int(dim.dim_value)
    return str(dim.dim_param)


def _first_layer(graph: Any, name: str) -> tuple[int | None, bool | None]:
    """Return the first convolution's input channels, and whether the input is channels-last."""
    weights = {tensor.name: tensor.dims for tensor in graph.initializer}
    channels_last = None
    for node in graph.node:
        if name not in node.input:
            continue
        numbers = {a.name: tuple(a.ints) or a.i for a in node.attribute}
        if node.op_type == "Conv" and len(node.input) > 1:
            dims = weights.get(node.input[1], ())
            channels = dims[1] * numbers.get("group", 1) if len(dims) == 4 else None
            return channels, channels_last or False
        if node.op_type == "Transpose" and numbers.get("perm") == (0, 3, 1, 2):
            channels_last = True
        name = node.output[0] if node.output else ""
    return None, channels_last


def _fix(graph: Any, given: Any, shape: tuple[int, ...]) -> None:
    """Fix the input's shape, and clear all shapes that depend on it, to be inferred."""
    dims = given.type.tensor_type.shape.dim
    del dims[:]
    for side in shape:
        dims.add().dim_value = side
    del graph.value_info[:]
    for output in graph.output:
        for dim in output.type.tensor_type.shape.dim:
            if dim.WhichOneof("value") == "dim_param":
                dim.Clear()
