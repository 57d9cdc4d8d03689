"""Networks that can be run, from any kind of file: a checkpoint, ONNX or LiteRT."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from nas.checkpoints.checkpoint import Checkpoint, load_checkpoint
from nas.checkpoints.feeding import Feed, Images
from nas.data.source import MIN_RESOLUTION_PX
from nas.export.litert_file import LiteRtRun, description_of, open_litert
from nas.export.onnx_file import OnnxRun, open_onnx
from nas.export.running import Arrays, Logits, Run, as_arrays, as_logits, as_tensors
from nas.export.sidecar import own_or_beside
from nas.tasks.outputs import Outputs
from search_spaces import InputError
from search_spaces.network import Network

ONNX_START = b"\x08"
"""Tag of `ir_version`, which exporters write first."""


@dataclass(frozen=True)
class Model:
    """A network's runtime and the description of its input.

    Attributes:
        feed: The description.
        run: The runtime.
        where: Its file, for messages.
    """

    feed: Feed
    run: Run
    where: str = "the network"

    def outputs(self, pixels: NDArray[np.uint8]) -> Arrays:
        """Run the network on images.

        Args:
            pixels: (n, 3, size, size), from `nas.data.image_files.decode.decode`.

        Returns:
            Each (n, ...).
        """
        return self.run(self.feed.prepare(pixels))

    def tensors(self, pixels: NDArray[np.uint8]) -> Outputs:
        """Return the outputs as a task reads them, of probabilities their logarithms; see `outputs`."""
        found = as_tensors(self.outputs(pixels))
        if self.feed.outputs == "probabilities":
            assert isinstance(found, torch.Tensor)
            return found.log()
        return found

    def logits(self, pixels: NDArray[np.uint8]) -> Logits:
        """Return the output of a classifier, (n, classes); see `outputs`.

        Raises:
            InputError: It classifies nothing, or the number of its outputs differs from the number of
                class names.
        """
        logits = as_logits(self.outputs(pixels), where=self.where)
        require_class_names(self.feed, logits.shape[1])
        return logits

    def probabilities(self, pixels: NDArray[np.uint8]) -> Logits:
        """Return class probabilities: `logits`, with a softmax if the network has none."""
        logits = self.logits(pixels)
        if self.feed.outputs == "probabilities":
            return logits
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        shares: Logits = powers / powers.sum(axis=1, keepdims=True)
        return shares


def require_class_names(feed: Feed, count: int, *, where: str = "the network") -> None:
    """Check that the network has one name for each output.

    Raises:
        InputError: It has more, or fewer.
    """
    if len(feed.classes) != count:
        raise InputError(
            f"{where} has {count} outputs and {len(feed.classes)} class names: "
            "the description is another network's"
        )


def open_model(path: Path, *, px: int | None = None) -> Model:
    """Open a file by its content, whatever its name.

    Args:
        path: A checkpoint, an ONNX or a LiteRT file.
        px: Image size; None uses the file's own. Only checkpoints can run at other sizes.

    Raises:
        InputError: The file is missing, damaged, lacks a description of its input, or has another fixed
            size; or the size is below 8 px.
    """
    if px is not None and px < MIN_RESOLUTION_PX:
        raise InputError(
            f"resolution must be at least {MIN_RESOLUTION_PX}, got {px}: give a size in pixels such as "
            "96, or leave it out for the network's own size"
        )
    start = _start(path)
    if start.startswith(b"PK") or path.suffix in (".pt", ".pth", ".safetensors"):
        return of_checkpoint(load_checkpoint(path), px=px, where=str(path))
    if start[4:8] == b"TFL3":
        return _at(_open_litert(path), px, path)
    if path.suffix == ".tflite" and not start.startswith(ONNX_START):
        raise InputError(f"{path}: damaged, or not a LiteRT file: export or copy it again")
    return _at(_open_onnx(path), px, path)


def of_checkpoint(
    checkpoint: Checkpoint, *, px: int | None = None, where: str = "the checkpoint"
) -> Model:
    """Open a checkpoint at its deployed resolution, or another.

    Raises:
        InputError: The number of class names differs from that of the classes.
    """
    if px is not None:
        checkpoint = replace(checkpoint, spec=replace(checkpoint.spec, resolution=px))
    feed = Feed.of(checkpoint)
    require_class_names(feed, checkpoint.spec.head.classes, where=where)
    return Model(feed, torch_run(checkpoint.network()))


def of_onnx(model: bytes, *, where: str = "ONNX") -> Model:
    """Open a serialized ONNX model that contains the description of its input.

    Raises:
        InputError: It has no description.
    """
    run = open_onnx(model, where=where)
    description = run.description()
    if description is None:
        raise InputError(f"{where} does not say how to feed it: export it with nas export")
    return Model(Feed.from_json(description, where=where, size_px=run.takes.size_px), run, where)


def torch_run(network: Network) -> Run:
    """Wrap a network in eval mode, on the CPU."""

    def run(images: Images) -> Arrays:
        with torch.inference_mode():
            given = torch.from_numpy(images).to(memory_format=torch.channels_last)
            return as_arrays(network(given))

    return run


def _start(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(8)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}: give a .pt, .onnx or .tflite file") from error


def _open_onnx(path: Path) -> tuple[Model, int | None]:
    run = open_onnx(path, where=str(path))
    feed = own_or_beside(path, run.description(), size_px=run.takes.size_px)
    if run.takes.layout != feed.layout:  # all sides of the input are dynamic
        run = open_onnx(path, where=str(path), layout=feed.layout)
    return _agreeing(feed, run, path), run.takes.size_px


def _open_litert(path: Path) -> tuple[Model, int | None]:
    content = path.read_bytes()
    run = open_litert(content, where=str(path))
    own = description_of(content, where=str(path))
    feed = own_or_beside(path, own, size_px=run.takes.size_px)
    return _agreeing(feed, run, path), run.takes.size_px


def _agreeing(feed: Feed, run: OnnxRun | LiteRtRun, path: Path) -> Model:
    """Return the model, after checking its description against the file."""
    if run.classes is not None:
        require_class_names(feed, run.classes, where=str(path))
    if run.takes.size_px not in (None, feed.size_px):
        raise InputError(
            f"{path} takes images of {run.takes.size_px} px, and its description says {feed.size_px}: "
            "the description is another network's"
        )
    return Model(feed, run, str(path))


def _at(opened: tuple[Model, int | None], px: int | None, path: Path) -> Model:
    """Return the model at another size, if its input size is dynamic."""
    model, fixed = opened
    if px is None or px == model.feed.size_px:
        return model
    if fixed is not None:
        raise InputError(
            f"{path} takes images of {fixed} px, --resolution is {px}: leave it out, or export the network "
            f"at that size by nas export --resolution {px}"
        )
    return replace(model, feed=replace(model.feed, size_px=px))
