"""`nas export`: write a network as a file for a runtime."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from nas.cli.commands.exporting.export_request import Request, require_weights, writable
from nas.cli.options.data import ImageOptions, data_config
from nas.cli.options.groups import OptionGroup, with_groups
from nas.cli.specs import ClassFileOption, of_run
from nas.data.config import DataConfig
from nas.display.output import JsonFlag
from search_spaces import InputError


@dataclass(frozen=True, kw_only=True)
class FileOptions(OptionGroup):
    """The file to write."""

    onnx: Annotated[bool, typer.Option("--onnx", help="Write ONNX (the default).")] = False
    litert: Annotated[
        bool, typer.Option("--litert", help="Write LiteRT (.tflite) instead of ONNX.")
    ] = False
    torchvision: Annotated[
        bool, typer.Option("--torchvision", help="Write a state dict for torchvision's class.")
    ] = False
    int8: Annotated[
        bool, typer.Option("--int8", help="Quantize to int8, and compare with the float file.")
    ] = False
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="File to write; default: next to the input."),
    ] = None
    resolution: Annotated[
        int | None,
        typer.Option(help="Input side in pixels; default: the network's deployed size."),
    ] = None
    dynamic_batch: Annotated[
        bool, typer.Option("--dynamic-batch", help="Allow any batch size (ONNX only).")
    ] = False
    preprocessing: Annotated[
        bool,
        typer.Option(
            "--with-preprocessing",
            help="Take uint8 pixels 0..255, and normalize them in the file.",
        ),
    ] = False
    postprocessing: Annotated[
        bool,
        typer.Option(
            "--with-postprocessing",
            help="Return a detector's boxes, or a segmentation network's class of each pixel (ONNX only).",
        ),
    ] = False


@dataclass(frozen=True, kw_only=True)
class CalibrationOptions(OptionGroup):
    """The images that an int8 file is calibrated on, and that any file is checked with."""

    panel = "Images"

    data: Annotated[
        str | None,
        typer.Option(
            help="Images to compare the file with PyTorch on, and to calibrate --int8 with: a folder of "
            "annotated images, or a data set's name."
        ),
    ] = None
    classes: ClassFileOption = None


@with_groups
def export(
    spec: Annotated[
        str, typer.Argument(help="A seed.pt, or a spec (exported with random weights).")
    ],
    file: FileOptions,
    calibration: CalibrationOptions,
    images: ImageOptions,
    as_json: JsonFlag = False,
) -> None:
    """Write a network as ONNX or LiteRT, float or int8, after comparing its outputs with PyTorch's.

    The file's metadata and NAME.json next to it describe its input: size, normalization and classes.
    """
    if (trained := of_run(spec, ".pt")) is not None:
        spec = str(trained)
    if file.onnx and file.litert:
        raise InputError("--onnx and --litert are two formats: run the command once for each")
    if file.torchvision:
        _require_alone(file, calibration)
        require_weights(spec, option="--torchvision")
        path = writable(file.output or Path(spec).with_suffix(".pth"), spec, ".pth")
        from nas.cli.commands.exporting.write import write_torchvision  # imports torch

        write_torchvision(spec, path, as_json=as_json)
        return
    for option, given in (
        ("--dynamic-batch", file.dynamic_batch),
        ("--with-postprocessing", file.postprocessing),
    ):
        if file.litert and given:
            raise InputError(f"{option} applies to ONNX, got --litert: leave one of them out")
    _require_calibration(spec, calibration, int8=file.int8)
    if file.preprocessing:
        require_weights(spec, option="--with-preprocessing")
    request = Request(
        spec=spec,
        litert=file.litert,
        int8=file.int8,
        data=_images(calibration.data, images),
        output=file.output,
        resolution=file.resolution,
        dynamic_batch=file.dynamic_batch,
        pixels=file.preprocessing,
        postprocessing=file.postprocessing,
        classes=calibration.classes,
    )
    from nas.cli.commands.exporting.write import write  # imports torch

    write(request, as_json=as_json)


def _require_alone(file: FileOptions, calibration: CalibrationOptions) -> None:
    """Check that `--torchvision` has no other option that changes the file.

    Raises:
        InputError: It has one.
    """
    others = (
        file.onnx,
        file.litert,
        file.int8,
        file.dynamic_batch,
        file.preprocessing,
        file.postprocessing,
    )
    if any((*others, calibration.data, calibration.classes)) or file.resolution is not None:
        raise InputError("--torchvision writes weights only: leave the other options out")


def _require_calibration(spec: str, calibration: CalibrationOptions, *, int8: bool) -> None:
    """Check that an int8 file has calibration images, and that images are of a network with weights.

    Raises:
        InputError: One is missing, or not used.
    """
    data, classes = calibration.data, calibration.classes
    if data is not None:
        require_weights(spec, option="--data")
    if classes is not None and not int8:
        raise InputError(
            f"--classes {classes} applies to the images of --int8: add --int8, or leave it out"
        )
    if int8:
        require_weights(spec, option="--int8")
        if data is None:
            raise InputError(
                "--int8 needs calibration images: give --data DIR, a folder of annotated images, for "
                "instance the training images"
            )


def _images(data: str | None, images: ImageOptions) -> DataConfig | None:
    """Return the settings of the images, if any.

    Raises:
        InputError: A setting is invalid, or not used.
    """
    settings = images.settings()
    if settings and data is None:
        option = "--" + next(iter(settings)).replace("_", "-")
        raise InputError(f"{option} applies to the images of --data: add --data, or leave it out")
    return None if data is None else data_config(data, **settings)
