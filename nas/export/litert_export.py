"""Export to LiteRT (`.tflite`), float and int8, by litert-torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from latency import Latency
from latency.devices import measured
from latency.runtimes.litert import LiteRt
from nas.checkpoints.feeding import Images
from nas.export.litert_file import describe_litert, open_litert, stamp_litert
from nas.export.onnx_export import Format, check
from nas.export.running import channels_last
from nas.usable_cores import usable_cores
from search_spaces.exporting.litert_export import litert_module, silenced, to_tflite
from search_spaces.exporting.pixel_input import Exportable

SIGNATURE, INPUT = "serving_default", "args_0"
"""Names that litert-torch gives to a file's only function and its input."""


def require_litert() -> None:
    """Check that the LiteRT extra is installed.

    Raises:
        InputError: It is not; the message gives the command to install it.
    """
    for name in ("ai_edge_litert", "ai_edge_quantizer", "litert_torch"):
        litert_module(name)


def checked_litert(network: Exportable) -> bytes:
    """Convert a network to a float `.tflite`, and check its outputs on random images against torch's.

    Input and output: see `search_spaces.exporting.litert_export.to_tflite`.

    Raises:
        ExportError: See `nas.export.onnx_export.check`.
        InputError: litert-torch is not installed.
    """
    model = to_tflite(network)
    check(network, open_litert(model), what="LiteRT")
    return model


def quantize_litert(model: bytes, images: Images) -> bytes:
    """Quantize a float `.tflite` to int8: weights per channel, output and normalized input too.

    Args:
        model: From `checked_litert`.
        images: Calibration images (n, 3, h, w), prepared for the model.

    Raises:
        InputError: litert-torch is not installed.
    """
    recipe = litert_module("ai_edge_quantizer.recipe").static_wi8_ai8()
    quantizer = litert_module("ai_edge_quantizer.quantizer").Quantizer(model, recipe)
    with silenced():
        result = quantizer.quantize(_ranges(model, recipe, images), enable_progress_report=False)
    return bytes(result.quantized_model)


def _ranges(model: bytes, recipe: Any, images: Images) -> Any:
    """Return minimum and maximum of each tensor over the images.

    `Quantizer.calibrate` takes a moving average of each image's extremes, which clips values that single
    images need: on the embedded data its logits were about four times as far off.
    """
    manager = litert_module("ai_edge_quantizer.recipe_manager").RecipeManager()
    manager.load_quantization_recipe(recipe)
    calibrator = litert_module("ai_edge_quantizer.calibrator").Calibrator(
        model,
        num_threads=usable_cores(),
        qsv_update_func=litert_module("ai_edge_quantizer.utils.qsv_utils").min_max_update,
    )
    feeds = [{INPUT: image[None]} for image in channels_last(images)]
    calibrator.calibrate({SIGNATURE: feeds}, manager)
    return calibrator.get_model_qsvs()


def litert_latencies(models: Sequence[bytes]) -> list[Latency]:
    """Measure files at batch 1 on this machine's CPU, one thread, with LiteRT's XNNPACK, interleaved.

    Raises:
        MeasurementError: LiteRT refuses a file.
    """
    source = measured(LiteRt())
    return [reading.latency for reading in source.measure(models)]


LITERT = Format(
    "LiteRT",
    ".tflite",
    checked_litert,
    quantize_litert,
    open_litert,
    litert_latencies,
    describe_litert,
    stamp_litert,
)
