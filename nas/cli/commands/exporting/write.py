"""Write the files of `nas export`, once its options are checked."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from latency import MeasurementError
from nas.atomic_files import write_whole
from nas.checkpoints.checkpoint import Checkpoint, load_checkpoint
from nas.checkpoints.class_file import read_class_file
from nas.checkpoints.class_map import class_map
from nas.checkpoints.feeding import Feed
from nas.checkpoints.importing.pretrained import torchvision_state_dict
from nas.checkpoints.scoring import relabelled
from nas.cli.classifiers_only import require_classification
from nas.cli.commands.exporting.export_request import Request
from nas.cli.commands.exporting.int8_table import int8_table
from nas.cli.errors import Failed
from nas.cli.images import images_of
from nas.cli.sizes import note_sizes
from nas.cli.specs import Changes, open_spec
from nas.display.output import messages, print_json, results
from nas.display.progress import waiting
from nas.export import litert_export, quantize
from nas.export.models import require_class_names
from nas.export.onnx_export import (
    ExportError,
    Format,
    checked_onnx,
    largest_difference,
    with_preprocessing,
)
from nas.export.sidecar import write_sidecar
from nas.tasks import task_of_spec
from search_spaces.exporting.onnx_export import OPSET
from search_spaces.exporting.pixel_input import Exportable
from search_spaces.network import build
from search_spaces.torchvision_keys import scheme_of


def write(request: Request, *, as_json: bool) -> None:
    """Write a network as ONNX or LiteRT, and print what was written.

    Raises:
        InputError: The network, its images or the file's path cannot be used.
        Failed: The file does not compute what PyTorch does, or cannot be run.
    """
    try:
        (_write_float if request.data is None else _write_int8)(request, as_json)
    except (ExportError, MeasurementError) as error:
        raise Failed(f"{request.spec}: {error} (nothing was written)") from error


def write_torchvision(spec: str, path: Path, *, as_json: bool) -> None:
    """Write a state dict with torchvision's names."""
    seed = load_checkpoint(spec)
    scheme = scheme_of(seed.spec)
    buffer = io.BytesIO()
    torch.save(torchvision_state_dict(seed), buffer)
    write_whole(path, buffer.getvalue())
    sidecar = write_sidecar(path, Feed.of(seed))
    if as_json:
        document = {"path": str(path), "class": scheme, "bytes": len(buffer.getvalue())}
        print_json(document | {"sidecar": str(sidecar)})
        return
    messages().print(
        f"{path}: a state dict for torchvision's {scheme}; {sidecar.name} describes the input",
        soft_wrap=True,
    )


def _write_float(request: Request, as_json: bool) -> None:
    spec = open_spec(request.spec, Changes(request.resolution))
    path = request.path()
    files = _format(request)
    seed = _at(request, spec.resolution) if request.trained else None
    network = build(spec).eval() if seed is None else _network(request, seed)
    with waiting(messages(), f"converting to {files.name}"):
        model = files.convert(network)
        if seed is not None:
            model = files.described(model, seed.usage, seed.spec)
        difference = largest_difference(network, files.open(model))
    write_whole(path, model)
    sidecar = _sidecar(path, files, model, seed) if seed is not None else None
    facts = _facts(request, path, len(model), px=spec.resolution, sidecar=sidecar)
    if as_json:
        print_json(facts | {"largest_difference": difference})
        return
    weights = ", random weights" if seed is None else ""
    messages().print(
        f"{_described(facts)}{weights}; outputs differ from PyTorch's by {difference:.1g} at most",
        soft_wrap=True,
    )


def _write_int8(request: Request, as_json: bool) -> None:
    px = open_spec(request.spec, Changes(request.resolution)).resolution
    path = request.path()
    names = read_class_file(request.classes) if request.classes is not None else None
    files, seed = _format(request), _at(request, px)
    wanted = request.data
    assert wanted is not None
    images = images_of(wanted, seed.usage, Path(request.spec), px, messages())
    with waiting(messages(), f"quantizing for {files.name}") as status:
        notes: list[str] = []
        usage = class_map(images.classes, seed.usage, names).usage(seed.usage)
        images = relabelled(images, seed.usage, classes=names, notify=notes.append)
        images = replace(images, classes=usage.classes)
        seed = replace(seed, usage=usage)
        network = _network(request, seed)
        model, compared = quantize.quantized(files, network, images, usage, progress=status.update)
    for note in notes:
        messages().print(note, soft_wrap=True)
    write_whole(path, model)
    sidecar = _sidecar(path, files, model, seed)
    facts = _facts(request, path, len(model), px=px, sidecar=sidecar)
    if as_json:
        print_json(facts | compared.to_dict())
        return
    results().print(int8_table(compared))
    console = messages()
    console.print(f"{_described(facts)}, int8", soft_wrap=True)
    problems = compared.before.latency.problems + compared.after.latency.problems
    if problems:
        console.print(f"unstable latency: {problems[0]}; end other programs, and export again")


def _sidecar(path: Path, files: Format, model: bytes, seed: Checkpoint) -> Path:
    return write_sidecar(path, files.describe(model, seed.usage).of_network(seed.spec))


def _at(request: Request, px: int) -> Checkpoint:
    """Load the checkpoint at the input size to export; warns if it was trained at another.

    Raises:
        InputError: The file is not a checkpoint, or its class names do not match its classes.
    """
    seed = load_checkpoint(request.spec)
    require_class_names(Feed.of(seed), seed.spec.head.classes, where=request.spec)
    measured = request.data is not None
    if measured:
        require_classification(task_of_spec(seed.spec), doing="nas export --int8")
    note_sizes(messages(), seed.usage.trained_px, px, done="exported", measured=measured)
    return replace(seed, spec=replace(seed.spec, resolution=px))


def _network(request: Request, seed: Checkpoint) -> Exportable:
    return with_preprocessing(seed) if request.pixels else seed.network()


def _format(request: Request) -> Format:
    """Return the requested file format.

    Raises:
        InputError: LiteRT is not installed.
    """
    if request.litert:
        with waiting(messages(), "loading LiteRT"):
            litert_export.require_litert()
        return litert_export.LITERT
    if not request.dynamic_batch:
        return quantize.ONNX
    return replace(quantize.ONNX, convert=lambda network: checked_onnx(network, dynamic_batch=True))


def _facts(
    request: Request, path: Path, size: int, *, px: int, sidecar: Path | None
) -> dict[str, Any]:
    return {
        "path": str(path),
        "sidecar": None if sidecar is None else str(sidecar),
        "opset": None if request.litert else OPSET,
        "bytes": size,
        "px": px,
        "trained": request.trained,
        "int8": request.data is not None,
        "pixels": request.pixels,
    }


def _described(facts: dict[str, Any]) -> str:
    kind = "LiteRT" if facts["opset"] is None else f"opset {facts['opset']}"
    pixels = ", takes uint8 pixels" if facts["pixels"] else ""
    return f"{facts['path']}: {facts['bytes'] / 1e6:.1f} MB, {kind}, {facts['px']} px{pixels}"
