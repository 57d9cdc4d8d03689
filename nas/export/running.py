"""The interface of everything that runs a network, and the inputs of network files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nas.checkpoints.feeding import Images, Kind, Layout
from nas.formatting import counted
from nas.tasks.outputs import Outputs
from search_spaces import InputError

Logits = NDArray[np.float32]
"""(n, classes)."""

Arrays = NDArray[np.float32] | tuple[NDArray[np.float32], ...]
"""A network's outputs, each (n, ...): an array of the only one, or a tuple in the file's order."""

Run = Callable[[Images], Arrays]
"""Images (n, 3, h, w), prepared by `Feed.prepare`, to outputs, whatever the file's own layout and types."""

Dimension = int | str | None
"""Dimension of a file's input: a number, or the name of a dynamic dimension (-1 in LiteRT)."""


@dataclass(frozen=True)
class Takes:
    """The input of a file, as its runtime describes it; None means dynamic.

    Attributes:
        layout: Order of the dimensions.
        dtype: Type.
        size_px: Side of the image.
        batch: Batch size.
        quantization: Scale and zero point.
    """

    layout: Layout
    dtype: Kind
    size_px: int | None
    batch: int | None
    quantization: tuple[float, int] | None = None


def taken(
    shape: Sequence[Dimension],
    dtype: str,
    *,
    where: str,
    layout: Layout,
    quantization: tuple[float, int] | None = None,
) -> Takes:
    """Interpret a file's input.

    >>> taken(("batch", 3, 32, 32), "float32", where="f", layout="NCHW").size_px
    32

    Args:
        shape: Its shape.
        dtype: Its type, as numpy names it.
        where: The file, for messages.
        layout: Layout, if the shape does not determine it.
        quantization: Scale and zero point.

    Raises:
        InputError: It is not a square RGB image.
    """
    shown = f"({', '.join('?' if free(side) else str(side) for side in shape)}) {dtype}"
    if len(shape) != 4 or dtype not in get_args(Kind):
        raise InputError(
            f"{where}: its input is {shown}: give a network that takes an image (1, 3, side, side) or "
            "(1, side, side, 3)"
        )
    if shape[1] == 3:
        layout = "NCHW"
    elif shape[3] == 3:
        layout = "NHWC"
    batch, *rest = shape
    channels, height, width = rest if layout == "NCHW" else (rest[2], rest[0], rest[1])
    if not free(channels) and channels != 3:
        raise InputError(
            f"{where}: its input is {shown}: only networks that take RGB images are supported"
        )
    sides = {side for side in (height, width) if not free(side)}
    if len(sides) > 1:
        raise InputError(f"{where}: its input is {shown}: only square images are supported")
    size_px = cast("int | None", sides.pop() if sides else None)
    step = None if free(batch) else cast("int", batch)
    return Takes(layout, cast("Kind", dtype), size_px, step, quantization)


def free(side: Dimension) -> bool:
    """Return whether a dimension is dynamic."""
    return not isinstance(side, int) or side < 1


def steps(images: Images, batch: int | None) -> Iterator[tuple[Images, int]]:
    """Split images into batches of a fixed size; yield each with the number of images that count.

    >>> [(len(part), count) for part, count in steps(np.zeros((5, 3, 1, 1), np.float32), 2)]
    [(2, 2), (2, 2), (2, 1)]
    """
    size = batch or max(1, len(images))
    for start in range(0, len(images), size):
        part = images[start : start + size]
        count = len(part)
        if batch is not None and count < batch:
            part = np.concatenate([part, np.repeat(part[-1:], batch - count, axis=0)])
        yield part, count


def of_each_image(
    outputs: Sequence[NDArray[Any]], images: int, *, where: str
) -> list[NDArray[Any]]:
    """Return those outputs of a step that have an entry for each image.

    Raises:
        InputError: None has.
    """
    found = [output for output in outputs if output.ndim and len(output) == images]
    if not found:
        shapes = " and ".join("x".join(map(str, output.shape)) or "1" for output in outputs)
        raise InputError(
            f"{where}: its output is {shapes} for {counted(images, 'image')}: give a network that has one "
            "for each image"
        )
    return found


def channels_last(images: Images) -> Images:
    """Convert (n, 3, h, w) to (n, h, w, 3)."""
    return np.ascontiguousarray(images.transpose(0, 2, 3, 1))


def joined(parts: Sequence[Sequence[NDArray[Any]]]) -> Arrays:
    """Concatenate the outputs of several steps.

    Args:
        parts: Of each step, the outputs (n, ...).
    """
    whole = tuple(
        np.concatenate(output).astype(np.float32, copy=False) for output in zip(*parts, strict=True)
    )
    return whole if len(whole) > 1 else whole[0]


def as_arrays(outputs: Outputs) -> Arrays:
    """Convert a network's outputs in torch to arrays."""
    if isinstance(outputs, Tensor):
        array: NDArray[np.float32] = outputs.cpu().numpy()
        return array
    return tuple(output.cpu().numpy() for output in outputs)


def as_tensors(arrays: Arrays) -> Outputs:
    """Convert outputs to torch, as a task reads them."""
    if isinstance(arrays, tuple):
        return tuple(torch.from_numpy(array) for array in arrays)
    return torch.from_numpy(arrays)


def as_logits(outputs: Arrays, *, where: str) -> Logits:
    """Convert the output of a classifier to (n, classes); if there are several, the first.

    Raises:
        InputError: It is not one value per class.
    """
    output = outputs[0] if isinstance(outputs, tuple) else outputs
    flat = output.reshape(len(output), -1) if output.ndim > 2 and output.size else output
    # Some exporters leave a classifier's (n, classes, 1, 1).
    if flat.ndim != 2 or flat.shape[1] != max(output.shape[1:]):
        shape = "x".join(map(str, (1, *output.shape[1:])))
        raise InputError(f"{where}: its output is {shape}: give a network that classifies images")
    return flat
