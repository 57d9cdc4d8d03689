"""Open a model file of the user: recognize it, and make it self-contained with fixed dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from latency.files.model_format import Suffix, suffix_of
from latency.files.onnx_file import open_onnx
from latency.files.self_contained import LARGEST, ModelFile
from latency.files.tflite_file import open_tflite
from search_spaces.errors import InputError

SUFFIXES: tuple[Suffix, ...] = (".onnx", ".tflite")
KINDS = {".onnx": "an ONNX file", ".tflite": "a LiteRT file"}

_BEGINNINGS: tuple[tuple[bytes, str], ...] = (
    (b"version https://git-lfs", "a Git LFS pointer and not the model: git lfs pull fetches the file"),
    (b"<!doctype html", "a web page and not the model: download the file itself, not the page about it"),
    (b"<html", "a web page and not the model: download the file itself, not the page about it"),
    (b"<?xml", "an XML document and not the model: download the file itself"),
    (b"pk\x03\x04", "a zip archive, as PyTorch writes checkpoints: export the network to ONNX"),
    (b"\x80", "a pickle, as PyTorch writes checkpoints: export the network to ONNX"),
    (b"\x89hdf", "an HDF5 file, as Keras writes: export the network to ONNX"),
    (b"\x1f\x8b", "compressed by gzip: unpack it"),
    (b"ortm", "in ONNX Runtime's own format: give the original .onnx file"),
)  # fmt: skip


def is_model_file(name: str) -> bool:
    """Whether a name has the suffix of a model file.

    >>> is_model_file("net.ONNX"), is_model_file("best.yaml")
    (True, False)
    """
    return name.lower().endswith(SUFFIXES)


def read_model(path: Path) -> bytes:
    """Read a file.

    Raises:
        InputError: It cannot be read, or is not a file.
    """
    try:
        if path.exists() and not path.is_file():
            raise InputError(f"{path} is not a file: give a model's file")
        if path.stat().st_size > LARGEST:
            raise InputError(f"{path} is over 2 GB: no network of that size is measured")
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}: give a model's file") from error


def open_model(
    path: Path, content: bytes, *, resolution: int | None, formats: Sequence[Suffix]
) -> ModelFile:
    """Make a model file self-contained, with all dimensions fixed.

    Args:
        path: The file; external data is looked for next to it.
        content: Its bytes.
        resolution: Side of its input in pixels, if the file leaves it free.
        formats: Formats that the device runs.

    Raises:
        InputError: It is not a model, is damaged, does not take a single image, has a format that the
            device does not run, or its input size is unknown.
    """
    _require_model(path, content)
    suffix = suffix_of(content)
    if suffix not in formats:
        raise InputError(
            f"{path} is {KINDS[suffix]}, and the device runs {' and '.join(formats)} files: give one of "
            "these, or another --device"
        )
    if suffix == ".tflite":
        return open_tflite(path, content, resolution=resolution)
    return open_onnx(path, content, resolution=resolution)


def _require_model(path: Path, content: bytes) -> None:
    """Recognize what is often given by mistake for a model."""
    if not content:
        raise InputError(f"{path} is empty: copy or download it again")
    start = content[:256].lstrip().lower()
    for beginning, what in _BEGINNINGS:
        if start.startswith(beginning):
            raise InputError(f"{path} is {what}")
    if content[8:10] == b'{"':
        raise InputError(
            f"{path} holds weights alone (safetensors): export the network that they belong to"
        )
