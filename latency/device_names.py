"""Suggestions for unknown device names."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from search_spaces.nearest import nearest

NOT_FOR_TRAINING = (
    "--device selects where latency is measured, not where networks train: to train on a GPU give "
    "nas-search --gpus-per-trial 1 (nas train --device cuda)"
)

ACCELERATORS: Mapping[str, str] = {
    "cuda": "cuda",
    "gpu": "cuda",
    "nvidia": "cuda",
    "tensorrt": "tensorrt",
    "rocm": "rocm",
    "mps": "coreml",
    "metal": "coreml",
    "coreml": "coreml",
    "xpu": "openvino",
    "openvino": "openvino",
    "xnnpack": "xnnpack",
    "tpu": "",
    "hpu": "",
}
"""ONNX Runtime's provider by accelerator; empty where it has none."""

ELSEWHERE: Mapping[str, str] = {
    **dict.fromkeys(("phone", "android", "mobile", "usb", "smartphone"), "adb"),
    **dict.fromkeys(("raspberrypi", "rpi", "raspi", "pi", "remote", "jetson", "board"), "ssh:HOST"),
    **dict.fromkeys(("host", "local", "localhost", "laptop", "desktop", "this", "x86", "auto"), "cpu"),
    **dict.fromkeys(("onnx", "onnxruntime", "ort"), "cpu"),
    **dict.fromkeys(("tflite", "lite"), "litert"),
    **dict.fromkeys(("iphone", "ios", "program", "script", "custom"), "command:PROGRAM"),
    **dict.fromkeys(("lut", "lookup"), "table:FILE"),
    **dict.fromkeys(("flops", "macs", "madd", "mac"), "madds:RATE"),
    "pixel": "pixel1",
}  # fmt: skip
"""Our device by its other names."""


def suggestion(device: str, known: Collection[str]) -> str:
    """Return the suggestion to append to the error of an unknown device; empty if nothing is similar.

    >>> suggestion("phone", ["cpu", "adb"]), suggestion("Pixel 1", ["cpu", "pixel1"])
    (': did you mean adb?', ': did you mean pixel1?')
    >>> suggestion("toaster", ["cpu", "adb"])
    ''

    Args:
        device: The name as typed.
        known: Names of all devices.
    """
    name = device.partition(":")[0].strip().lower()
    if name in ACCELERATORS:
        provider = ACCELERATORS[name]
        measures = f", and to measure on it --device cpu:provider={provider}" if provider else ""
        return f": {NOT_FOR_TRAINING}{measures}"
    if "@" in name and "=" not in name:
        return f": did you mean ssh:{device}?"
    ours = ELSEWHERE.get(name.replace(" ", "").replace("-", "")) or nearest(name, known)
    return f": did you mean {ours}?" if ours else ""
