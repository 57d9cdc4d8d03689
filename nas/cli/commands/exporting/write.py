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
from nas.checkpoints.feeding import Feed, Images
from nas.checkpoints.importing.pretrained import torchvision_state_dict
from nas.checkpoints.scoring import relabelled
from nas.cli.annotated_for import require_annotated_for
from nas.cli.commands.exporting.export_request import Request
from nas.cli.commands.exporting.int8_table import int8_table
from nas.cli.errors import Failed
from nas.cli.images import images_of
from nas.cli.sizes import note_sizes
from nas.cli.specs import Changes, open_spec
from nas.data.config import DataConfig
from nas.data.images import Dataset
from nas.display.output import messages, print_json, results
from nas.display.progress import waiting
from nas.export import litert_export, quantize
from nas.export.models import require_class_names
from nas.export.onnx_export import (
    ExportError,
    Format,
    check,
    checked_onnx,
    largest_difference,
    with_preprocessing,
)
from nas.export.postprocess import with_postprocessing
from nas.export.sidecar import write_sidecar
from nas.formatting import counted
from nas.tasks import task_of, task_of_spec
from search_spaces import ArchSpec
from search_spaces.exporting.onnx_export import OPSET
from search_spaces.exporting.pixel_input import Exportable
from search_spaces.network import build
from search_spaces.torchvision_keys import scheme_of

CHECKED_ON = 16
"""Number of held-out images that a file is checked on."""


def write(request: Request, *, as_json: bool) -> None:
    """Write a network as ONNX or LiteRT, and print what was written.

    Raises:
        InputError: The network, its images or the file's path cannot be used.
        Failed: The file does not compute what PyTorch does, or cannot be run.
    """
    if request.postprocessing:
        spec = open_spec(request.spec)
        task_of(task_of_spec(spec)).postprocessing(spec)  # refuses a classifier early
    try:
        (_write_int8 if request.int8 else _write_float)(request, as_json)
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
    photos = None if seed is None or request.data is None else _photos(request, request.data, seed)
    network = build(spec).eval() if seed is None else _network(request, seed)
    with waiting(messages(), f"converting to {files.name}"):
        model = files.convert(network)
        run = files.open(model)
        difference = largest_difference(network, run)
        if photos is not None:
            check(network, run, what=files.name, images=photos)
            difference = max(difference, largest_difference(network, run, photos))
        model = _finished(request, files, model, spec, seed)
    write_whole(path, model)
    sidecar = None if seed is None else write_sidecar(path, _feed(request, files, model, seed))
    facts = _facts(request, path, len(model), px=spec.resolution, sidecar=sidecar)
    if as_json:
        checked_on = 0 if photos is None else len(photos)
        print_json(facts | {"largest_difference": difference, "checked_images": checked_on})
        return
    weights = ", random weights" if seed is None else ""
    where = "" if photos is None else f", also on {counted(len(photos), 'held-out image')}"
    messages().print(
        f"{_described(facts)}{weights}; outputs differ from PyTorch's by {difference:.1g} at most{where}",
        soft_wrap=True,
    )


def _write_int8(request: Request, as_json: bool) -> None:
    px = open_spec(request.spec, Changes(request.resolution)).resolution
    path = request.path()
    names = read_class_file(request.classes) if request.classes is not None else None
    files, seed = _format(request), _at(request, px)
    assert request.data is not None
    images = _images(request, request.data, seed)
    with waiting(messages(), f"quantizing for {files.name}") as status:
        notes: list[str] = []
        usage = class_map(images.classes, seed.usage, names).usage(seed.usage)
        images = relabelled(images, seed.usage, classes=names, notify=notes.append)
        images = replace(images, classes=usage.classes)
        seed = replace(seed, usage=usage)
        network = _network(request, seed)
        model, compared = quantize.quantized(files, network, images, usage, progress=status.update)
        model = _finished(request, files, model, seed.spec, seed)
    for note in notes:
        messages().print(note, soft_wrap=True)
    write_whole(path, model)
    sidecar = write_sidecar(path, _feed(request, files, model, seed))
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


def _photos(request: Request, wanted: DataConfig, seed: Checkpoint) -> Images:
    """Return a few held-out images, prepared for the file."""
    images = _images(request, wanted, seed)
    return quantize.held_out_images(images.val, seed.usage, count=CHECKED_ON, pixels=request.pixels)


def _images(request: Request, wanted: DataConfig, seed: Checkpoint) -> Dataset:
    """Read images with the annotations of the network's task: a folder may have several kinds."""
    task = task_of_spec(seed.spec)
    require_annotated_for(task, wanted.source)
    wanted = wanted.model_copy(update={"task": task})
    return images_of(wanted, seed.usage, Path(request.spec), seed.spec.resolution, messages())


def _finished(
    request: Request, files: Format, model: bytes, spec: ArchSpec, seed: Checkpoint | None
) -> bytes:
    """Return a file with its post-processing, if requested, and the description of a trained network."""
    if request.postprocessing:
        model = with_postprocessing(model, spec)
    return model if seed is None else files.stamp(model, _feed(request, files, model, seed))


def _feed(request: Request, files: Format, model: bytes, seed: Checkpoint) -> Feed:
    feed = files.describe(model, seed.usage).of_network(seed.spec)
    return replace(feed, outputs="predictions") if request.postprocessing else feed


def _at(request: Request, px: int) -> Checkpoint:
    """Load the checkpoint at the input size to export; warns if it was trained at another.

    Raises:
        InputError: The file is not a checkpoint, or its class names do not match its classes.
    """
    seed = load_checkpoint(request.spec)
    require_class_names(Feed.of(seed), seed.spec.head.classes, where=request.spec)
    note_sizes(messages(), seed.usage.trained_px, px, done="exported", measured=request.int8)
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
        "int8": request.int8,
        "pixels": request.pixels,
        "postprocessing": request.postprocessing,
    }


def _described(facts: dict[str, Any]) -> str:
    kind = "LiteRT" if facts["opset"] is None else f"opset {facts['opset']}"
    parts = [f"{facts['bytes'] / 1e6:.1f} MB", kind, f"{facts['px']} px"]
    parts += ["takes uint8 pixels"] if facts["pixels"] else []
    parts += ["with post-processing"] if facts["postprocessing"] else []
    return f"{facts['path']}: {', '.join(parts)}"
