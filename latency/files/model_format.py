"""Model file formats, and the export of a network to each."""

from __future__ import annotations

from threading import Lock
from typing import Literal

from search_spaces.errors import InputError
from search_spaces.extras import INSTALL_LITERT
from search_spaces.spec import ArchSpec

Suffix = Literal[".onnx", ".tflite"]

_exporting = Lock()


def exported(spec: ArchSpec, suffix: Suffix) -> bytes:
    """Export a network with random weights.

    Raises:
        InputError: The format needs an extra that is not installed.
    """
    # torch's exporters change global state, and the devices of a pool export in parallel.
    with _exporting:
        return _exported(spec, suffix)


def _exported(spec: ArchSpec, suffix: Suffix) -> bytes:
    from search_spaces.network import build

    if suffix == ".onnx":
        from search_spaces.exporting.onnx_export import to_onnx

        return to_onnx(build(spec))
    try:
        from search_spaces.exporting.litert_export import to_tflite
    except ImportError as error:
        raise InputError(
            "the device runs .tflite files, and their exporter is not installed "
            f"({error}): {INSTALL_LITERT}"
        ) from error
    return to_tflite(build(spec))


def suffix_of(model: bytes) -> Suffix:
    """Return the suffix of a file from its content.

    >>> suffix_of(bytes.fromhex("1c00000054464c33"))
    '.tflite'
    """
    return ".tflite" if model[4:8] == b"TFL3" else ".onnx"
