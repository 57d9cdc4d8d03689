"""`nas export`: write a network as a file for a runtime."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from latency import MeasurementError
from nas.atomic_files import write_whole
from nas.checkpoints.class_file import read_class_file
from nas.cli.commands.export_request import Request, writable
from nas.cli.commands.int8_table import int8_table
from nas.cli.data_options import (
    LayoutOption,
    MegapixelsOption,
    SkipFlag,
    data_config,
    data_settings,
)
from nas.cli.errors import Failed
from nas.cli.images import images_of
from nas.cli.sizes import note_sizes
from nas.cli.specs import Changes, ClassFileOption, of_run, open_spec
from nas.display.output import JsonFlag, messages, print_json, results
from nas.display.progress import waiting
from search_spaces import InputError

if TYPE_CHECKING:
    from nas.checkpoints.checkpoint import Checkpoint
    from nas.export.onnx_export import Format
    from search_spaces.pixel_input import Exportable


def export(
    spec: Annotated[
        str, typer.Argument(help="A seed.pt, or a spec (exported with random weights).")
    ],
    onnx: Annotated[bool, typer.Option("--onnx", help="Write ONNX (the default).")] = False,
    litert: Annotated[
        bool, typer.Option("--litert", help="Write LiteRT (.tflite) instead of ONNX.")
    ] = False,
    torchvision: Annotated[
        bool, typer.Option("--torchvision", help="Write a state dict for torchvision's class.")
    ] = False,
    int8: Annotated[
        bool, typer.Option("--int8", help="Quantize to int8, and compare with the float file.")
    ] = False,
    data: Annotated[
        str | None,
        typer.Option(
            help="Calibration images for --int8: a folder of class folders, or a data set's name."
        ),
    ] = None,
    classes: ClassFileOption = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="File to write; default: next to the input."),
    ] = None,
    resolution: Annotated[
        int | None,
        typer.Option(help="Input side in pixels; default: the network's deployed size."),
    ] = None,
    dynamic_batch: Annotated[
        bool, typer.Option("--dynamic-batch", help="Allow any batch size (ONNX only).")
    ] = False,
    preprocessing: Annotated[
        bool,
        typer.Option(
            "--with-preprocessing",
            help="Take uint8 pixels 0..255, and normalize them in the file.",
        ),
    ] = False,
    layout: LayoutOption = None,
    max_megapixels: MegapixelsOption = None,
    skip_bad_images: SkipFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Write a network as ONNX or LiteRT, float or int8, after comparing its logits with PyTorch's.

    The file's metadata and NAME.json next to it describe its input: size, normalization and classes.
    """
    if (trained := of_run(spec, ".pt")) is not None:
        spec = str(trained)
    if onnx and litert:
        raise InputError("--onnx and --litert are two formats: run the command once for each")
    if torchvision:
        others = (onnx, litert, int8, dynamic_batch, preprocessing, data, classes)
        if any(others) or resolution is not None:
            raise InputError("--torchvision writes weights only: leave the other options out")
        _write_torchvision(spec, output, as_json)
        return
    if litert and dynamic_batch:
        raise InputError("--dynamic-batch applies to ONNX, got --litert: leave one of them out")
    if data is not None and not int8:
        raise InputError(f"--data {data} is used by --int8 only: add --int8, or leave it out")
    if classes is not None and not int8:
        raise InputError(
            f"--classes {classes} applies to the images of --int8: add --int8, or leave it out"
        )
    if int8:
        _require_weights(spec)
        if data is None:
            raise InputError(
                "--int8 needs calibration images: give --data DIR, a folder of class folders, for instance "
                "the training images"
            )
    if preprocessing:
        _require_weights(spec, option="--with-preprocessing")
    reading = data_settings(
        layout=layout, max_megapixels=max_megapixels, skip_bad_images=skip_bad_images
    )
    if reading and not int8:
        option = "--" + next(iter(reading)).replace("_", "-")
        raise InputError(f"{option} applies to the images of --int8: add --int8, or leave it out")
    images = data_config(data, **reading) if data is not None else None
    request = Request(
        spec, litert, images, output, resolution, dynamic_batch, preprocessing, classes
    )
    from nas.export.onnx_export import ExportError

    try:
        (_write_int8 if int8 else _write_float)(request, as_json)
    except (ExportError, MeasurementError) as error:
        raise Failed(f"{spec}: {error} (nothing was written)") from error


def _require_weights(spec: str, *, option: str = "--int8") -> None:
    open_spec(spec)  # report an unknown name first
    if not spec.endswith(".pt"):
        raise InputError(f"{option} needs trained weights, but {spec} has none: give a seed.pt")


def _write_torchvision(spec: str, output: Path | None, as_json: bool) -> None:
    """Write a state dict with torchvision's names."""
    _require_weights(spec, option="--torchvision")
    path = writable(output or Path(spec).with_suffix(".pth"), spec, ".pth")
    import io

    import torch

    from nas.checkpoints.checkpoint import load_checkpoint
    from nas.checkpoints.feeding import Feed
    from nas.checkpoints.pretrained import torchvision_state_dict
    from nas.export.sidecar import write_sidecar
    from search_spaces.torchvision_keys import scheme_of

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
    from nas.export.onnx_export import largest_difference
    from nas.export.sidecar import write_sidecar
    from search_spaces.network import build

    files = _format(request)
    seed = _at(request, spec.resolution) if request.trained else None
    network = build(spec).eval() if seed is None else _network(request, seed)
    with waiting(messages(), f"converting to {files.name}"):
        model = files.convert(network)
        if seed is not None:
            model = files.described(model, seed.usage)
        difference = largest_difference(network, files.open(model))
    write_whole(path, model)
    sidecar = write_sidecar(path, files.describe(model, seed.usage)) if seed is not None else None
    facts = _facts(request, path, len(model), px=spec.resolution, sidecar=sidecar)
    if as_json:
        print_json(facts | {"largest_difference": difference})
        return
    weights = ", random weights" if seed is None else ""
    messages().print(
        f"{_described(facts)}{weights}; logits differ from PyTorch's by {difference:.1g} at most",
        soft_wrap=True,
    )


def _write_int8(request: Request, as_json: bool) -> None:
    px = open_spec(request.spec, Changes(request.resolution)).resolution
    path = request.path()
    from nas.checkpoints.class_map import class_map
    from nas.checkpoints.scoring import relabelled
    from nas.export.quantize import quantized
    from nas.export.sidecar import write_sidecar

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
        model, compared = quantized(files, network, images, usage, progress=status.update)
    for note in notes:
        messages().print(note, soft_wrap=True)
    write_whole(path, model)
    sidecar = write_sidecar(path, files.describe(model, seed.usage))
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


def _at(request: Request, px: int) -> Checkpoint:
    """Load the checkpoint at the input size to export; warns if it was trained at another.

    Raises:
        InputError: The file is not a checkpoint, or its class names do not match its classes.
    """
    from nas.checkpoints.checkpoint import load_checkpoint
    from nas.checkpoints.feeding import Feed
    from nas.export.models import require_class_names

    seed = load_checkpoint(request.spec)
    require_class_names(Feed.of(seed), seed.spec.head.classes, where=request.spec)
    measured = request.data is not None
    note_sizes(messages(), seed.usage.trained_px, px, done="exported", measured=measured)
    return replace(seed, spec=replace(seed.spec, resolution=px))


def _network(request: Request, seed: Checkpoint) -> Exportable:
    from nas.export.onnx_export import with_preprocessing

    return with_preprocessing(seed) if request.pixels else seed.network()


def _format(request: Request) -> Format:
    """Return the requested file format.

    Raises:
        InputError: LiteRT is not installed.
    """
    if request.litert:
        from nas.export.litert_export import LITERT, require_litert

        with waiting(messages(), "loading LiteRT"):
            require_litert()
        return LITERT
    from nas.export.onnx_export import checked_onnx
    from nas.export.quantize import ONNX

    if not request.dynamic_batch:
        return ONNX
    return replace(ONNX, convert=lambda network: checked_onnx(network, dynamic_batch=True))


def _facts(
    request: Request, path: Path, size: int, *, px: int, sidecar: Path | None
) -> dict[str, Any]:
    from search_spaces.onnx_export import OPSET

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
