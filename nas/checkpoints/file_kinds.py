"""Recognize files that are mistaken for weights, and say how to obtain the weights."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path

HEAD_BYTES = 512

STATE_DICT = "save its weights where it was made, by torch.save(model.state_dict(), 'weights.pth')"

_SIGNATURES = (
    (0, b"\x89HDF\r\n\x1a\n", "an HDF5 file, as Keras saves", "convert it to torch's names first"),
    (0, b"\x93NUMPY", "a NumPy array", "convert it to a state dict first"),
    (0, b"GGUF", "a GGUF file", "give the float weights"),
    (0, b"\x1f\x8b", "a gzip file", "unpack it first"),
    (0, b"BZh", "a bzip2 file", "unpack it first"),
    (0, b"\xfd7zXZ\0", "an xz file", "unpack it first"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z file", "unpack it first"),
    (0, b"\x28\xb5\x2f\xfd", "a zstd file", "unpack it first"),
    (257, b"ustar", "a tar file", "unpack it first"),
    (4, b"TFL3", "a LiteRT model (.tflite)", "give the weights that it was converted from"),
    (0, b"version https://git-lfs", "a Git LFS pointer, not the file itself", "run git lfs pull"),
    (0, b"<", "a web page or XML, not the file itself", "download the file again"),
    (0, b"\x89PNG", "an image", "give weights"),
    (0, b"\xff\xd8\xff", "an image", "give weights"),
)
"""Offset, magic bytes, kind of file, and remedy."""


def foreign(path: Path) -> str | None:
    """Say what a file without readable weights is, with a remedy; None if it may contain weights.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "model.tflite"
    >>> _ = path.write_bytes(bytes(4) + b"TFL3" + bytes(40))
    >>> foreign(path)
    'a LiteRT model (.tflite): give the weights that it was converted from'

    Raises:
        OSError: The file cannot be read.
    """
    head = head_of(path)
    if not head:
        return "empty, and not a torch file: download or copy it again"
    if is_safetensors(head):
        return None  # its first bytes are a length, which may look like anything
    for start, mark, kind, mend in _SIGNATURES:
        if head[start : start + len(mark)] == mark:
            return f"{kind}: {mend}"
    if path.suffix.lower() == ".onnx" or _is_onnx(head):
        return "an ONNX model: give the weights that it was exported from, as a state dict"
    if head.lstrip()[:1] in (b"{", b"["):
        return "JSON text, which contains no weights: give the file of weights itself"
    return None


def foreign_archive(names: Sequence[str]) -> str | None:
    """Say what a zip file not written by `torch.save` is, with a remedy; None if it was.

    >>> foreign_archive(["m/data.pkl", "m/code/__torch__.py", "m/constants.pkl"])[:23]
    'a TorchScript archive ('

    Args:
        names: Names of its entries.
    """
    last = {name.rpartition("/")[2] for name in names}
    folders = {
        part for name in names for part in name.split("/")[1:-1]
    }  # the first is the file's name
    if "constants.pkl" in last or "code" in folders:
        return (
            "a TorchScript archive (torch.jit.save): save its weights by "
            "torch.save(torch.jit.load(FILE).state_dict(), 'weights.pth')"
        )
    if "archive_format" in last or "serialized_exported_program.json" in last:
        return (
            "a program of torch.export (.pt2): save its weights by "
            "torch.save(dict(torch.export.load(FILE).state_dict), 'weights.pth')"
        )
    if "data.pkl" in last:
        return None
    if "model.weights.h5" in last:
        return "a Keras model: convert its weights to torch's names first"
    if last and all(name.endswith(".npy") for name in last):
        return "NumPy arrays (.npz): convert them to a state dict first"
    inside = ", ".join(names[:3]) or "nothing"
    return f"a zip file that torch.save did not write (it holds {inside}): unpack it and give the weights"


def is_safetensors(head: bytes) -> bool:
    """Return whether bytes begin like a safetensors file: eight bytes of length, then JSON."""
    return head[8:9] == b"{"


def head_of(path: Path) -> bytes:
    """Return the first bytes of a file.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        return file.read(HEAD_BYTES)


def is_zip(path: Path) -> bool:
    """Return whether a file begins like a zip file.

    Raises:
        OSError: The file cannot be read.
    """
    return head_of(path).startswith((b"PK\x03\x04", b"PK\x05\x06"))


def expands(archive: zipfile.ZipFile, size: int, *, factor: int = 100) -> bool:
    """Return whether an archive unpacks to far more than the `size` of its file, in bytes."""
    return sum(entry.file_size for entry in archive.infolist()) > factor * max(size, 1)


def _is_onnx(head: bytes) -> bool:
    """Return whether bytes begin like an ONNX message: a format version, then a name or a graph."""
    return len(head) > 2 and head[0] == 0x08 and 0 < head[1] < 32 and head[2] in (0x12, 0x3A, 0x42)
