"""LiteRT files (`.tflite`), float and int8, by litert-torch."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latency import Latency
from nas.export import Format, Images, Run, check
from search_spaces.litert_export import litert_module, quiet, to_tflite
from search_spaces.network import Network

SIGNATURE, INPUT = "serving_default", "args_0"
"""What litert-torch calls a file's one function and its input."""


def require_litert() -> None:
    """Check that the extra is installed.

    Raises:
        InputError: It is not; the message has the command that installs it.
    """
    for name in ("ai_edge_litert", "ai_edge_quantizer", "litert_torch"):
        litert_module(name)


def checked_litert(network: Network) -> bytes:
    """The network as a float `.tflite`, after its logits on random images were compared with torch's.

    Input (1, resolution, resolution, 3) float32: channels last, as LiteRT's kernels and image
    libraries have them. Output (1, classes).

    Raises:
        ExportError: They differ by more than `nas.export.TOLERANCE`.
        InputError: litert-torch is not installed.
    """
    model = to_tflite(network)
    check(network, open_litert(model), what="LiteRT")
    return model


def quantize_litert(model: bytes, images: Images) -> bytes:
    """A float `.tflite` in int8: weights with a scale for each channel, input and output int8 too.

    Args:
        model: As `checked_litert` gives it.
        images: To calibrate on (n, 3, h, w), prepared as in training.

    Raises:
        InputError: litert-torch is not installed.
    """
    recipe = litert_module("ai_edge_quantizer.recipe").static_wi8_ai8()
    quantizer = litert_module("ai_edge_quantizer.quantizer").Quantizer(model, recipe)
    with quiet():
        result = quantizer.quantize(_ranges(model, recipe, images), enable_progress_report=False)
    return bytes(result.quantized_model)


def _ranges(model: bytes, recipe: Any, images: Images) -> Any:
    """Least and greatest value of each tensor over the images.

    `Quantizer.calibrate` would take a moving average over images of each one's extremes, which cuts
    off what single images need: on the embedded data its logits were about four times as far off.
    """
    manager = litert_module("ai_edge_quantizer.recipe_manager").RecipeManager()
    manager.load_quantization_recipe(recipe)
    calibrator = litert_module("ai_edge_quantizer.calibrator").Calibrator(
        model,
        num_threads=os.cpu_count() or 1,
        qsv_update_func=litert_module("ai_edge_quantizer.utils.qsv_utils").min_max_update,
    )
    feeds = [{INPUT: image[None]} for image in _channels_last(images)]
    calibrator.calibrate({SIGNATURE: feeds}, manager)
    return calibrator.get_model_qsvs()


def open_litert(model: bytes) -> Run:
    """A `.tflite` as what runs it: images are turned channels last and quantised as its input wants."""
    interpreter = _interpreter(model, threads=os.cpu_count() or 1)
    (given,), (got,) = interpreter.get_input_details(), interpreter.get_output_details()

    def one(image: NDArray[np.float32]) -> NDArray[np.float32]:
        interpreter.set_tensor(given["index"], _encoded(image[None], given))
        interpreter.invoke()
        return _decoded(interpreter.get_tensor(got["index"]), got)  # (1, classes)

    return lambda images: np.concatenate([one(image) for image in _channels_last(images)])


def litert_latencies(models: Sequence[bytes]) -> list[Latency]:
    """Latency of files at batch 1 on this machine's CPU, one thread, by LiteRT's XNNPACK, in turns.

    Raises:
        MeasurementError: LiteRT refuses one.
    """
    from latency.devices import measured
    from latency.litert import LiteRt

    source = measured(LiteRt())
    return [reading.latency for reading in source.measure(models)]


LITERT = Format("LiteRT", ".tflite", checked_litert, quantize_litert, open_litert, litert_latencies)


def _interpreter(model: bytes, *, threads: int) -> Any:
    module = litert_module("ai_edge_litert.interpreter")
    interpreter = module.Interpreter(model_content=model, num_threads=threads)
    interpreter.allocate_tensors()
    return interpreter


def _channels_last(images: Images) -> Images:
    """(n, 3, h, w) to (n, h, w, 3)."""
    return np.ascontiguousarray(np.moveaxis(images, 1, -1))


def _encoded(values: NDArray[np.float32], tensor: dict[str, Any]) -> NDArray[Any]:
    """Values in a tensor's own type."""
    scale, zero = tensor["quantization"]
    if not scale:
        return values
    limits = np.iinfo(tensor["dtype"])
    steps = np.round(values / scale) + zero
    encoded: NDArray[Any] = np.clip(steps, limits.min, limits.max).astype(tensor["dtype"])
    return encoded


def _decoded(values: NDArray[Any], tensor: dict[str, Any]) -> NDArray[np.float32]:
    """What a tensor's own values stand for; a copy, as the interpreter writes over its memory."""
    scale, zero = tensor["quantization"]
    floats = values.astype(np.float32)
    return (floats - np.float32(zero)) * np.float32(scale) if scale else floats
