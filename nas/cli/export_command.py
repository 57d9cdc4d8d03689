"""`nas export`: a network as a file for a runtime."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from latency import MeasurementError
from nas.class_file import read_class_file
from nas.cli.errors import Failed
from nas.cli.output import JsonFlag, messages, not_over, print_json, results
from nas.cli.specs import Changes, ClassFileOption, of_run, open_spec, stem
from nas.cli.waiting import waiting
from nas.files import write_whole
from nas.readable import interval, three_digits
from search_spaces import InputError

if TYPE_CHECKING:
    from nas.export import Format
    from nas.quantize import Comparison


@dataclass(frozen=True)
class Request:
    """What is to be written; the options' meaning is in `export`."""

    spec: str
    litert: bool
    data: str | None
    output: Path | None
    resolution: int | None
    dynamic_batch: bool
    classes: Path | None

    @property
    def trained(self) -> bool:
        """Whether the input has weights."""
        return self.spec.endswith(".pt")

    def path(self) -> Path:
        """The file to write.

        Raises:
            InputError: See `_writable`.
        """
        name = Path(self.spec)
        # Random weights must not take the place of a file with trained ones.
        kind = ("-int8" if self.data else "") if self.trained else "-random"
        suffix = ".tflite" if self.litert else ".onnx"
        return _writable(
            self.output or name.with_name(stem(self.spec) + kind + suffix), self.spec, suffix
        )


def _writable(path: Path, source: str, suffix: str) -> Path:
    """The path, if a file of the kind that `suffix` names can be written there.

    Raises:
        InputError: It is the file that is read, of another kind by its name, or in no folder.
    """
    not_over(path, source)
    if path.suffix != suffix:
        raise InputError(f"the file's name ends in {suffix}, got {path}: choose another --output")
    if not path.parent.is_dir():
        raise InputError(f"{path.parent} is no folder: make it, or choose another --output")
    return path


def export(
    spec: Annotated[
        str, typer.Argument(help="A seed.pt, or a spec (its weights are then random).")
    ],
    onnx: Annotated[bool, typer.Option("--onnx", help="Write ONNX (the default).")] = False,
    litert: Annotated[
        bool, typer.Option("--litert", help="Write LiteRT (.tflite) instead of ONNX.")
    ] = False,
    torchvision: Annotated[
        bool, typer.Option("--torchvision", help="Write weights as torchvision's class loads them.")
    ] = False,
    int8: Annotated[
        bool, typer.Option("--int8", help="Quantise, and compare with the float file.")
    ] = False,
    data: Annotated[
        str | None,
        typer.Option(help="Images for --int8: a folder of class folders, or a data set's name."),
    ] = None,
    classes: ClassFileOption = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The file; beside the input by default.")
    ] = None,
    resolution: Annotated[
        int | None,
        typer.Option(
            help="Input side in pixels; by default the spec's, with --int8 the training's."
        ),
    ] = None,
    dynamic_batch: Annotated[
        bool, typer.Option("--dynamic-batch", help="Any batch size (ONNX).")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Write a network as ONNX or LiteRT, float or int8, after comparing its logits with torch's."""
    if (trained := of_run(spec, ".pt")) is not None:
        spec = str(trained)
    if onnx and litert:
        raise InputError("--onnx and --litert are two files: run the command once for each")
    if torchvision:
        if onnx or litert or int8 or dynamic_batch or data or classes or resolution is not None:
            raise InputError("--torchvision writes weights alone: leave the other options out")
        _write_torchvision(spec, output, as_json)
        return
    if litert and dynamic_batch:
        raise InputError("--dynamic-batch is for ONNX, got --litert: leave one of them out")
    if data is not None and not int8:
        raise InputError(f"--data {data} is read for --int8 alone: add --int8, or leave it out")
    if classes is not None and not int8:
        raise InputError(f"--classes {classes} is about the images of --int8: leave it out")
    if int8:
        _require_weights(spec)
        if data is None:
            raise InputError(
                "--int8: calibration images missing: give --data DIR, a folder of class folders "
                "such as the one that the network was trained on"
            )
    request = Request(spec, litert, data, output, resolution, dynamic_batch, classes)
    from nas.export import ExportError

    try:
        (_write_int8 if int8 else _write_float)(request, as_json)
    except (ExportError, MeasurementError) as error:
        raise Failed(f"{spec}: {error}: nothing was written") from error


def _require_weights(spec: str, *, option: str = "--int8") -> None:
    open_spec(spec)  # a name that stands for nothing is the first thing to say
    if not spec.endswith(".pt"):
        raise InputError(
            f"{option} needs trained weights, got {spec}, which has none: give a seed.pt"
        )


def _write_torchvision(spec: str, output: Path | None, as_json: bool) -> None:
    """Write a state dict under torchvision's names."""
    _require_weights(spec, option="--torchvision")
    path = _writable(output or Path(spec).with_suffix(".pth"), spec, ".pth")
    import io

    import torch

    from nas.pretrained import torchvision_state_dict
    from nas.seeds import load_seed
    from search_spaces.torchvision_keys import scheme_of

    seed = load_seed(spec)
    scheme = scheme_of(seed.spec)
    buffer = io.BytesIO()
    torch.save(torchvision_state_dict(seed), buffer)
    write_whole(path, buffer.getvalue())
    if as_json:
        print_json({"path": str(path), "class": scheme, "bytes": len(buffer.getvalue())})
        return
    messages().print(f"{path}: a state dict of torchvision's {scheme}", soft_wrap=True)


def _write_float(request: Request, as_json: bool) -> None:
    spec = open_spec(request.spec, Changes(request.resolution))
    path = request.path()
    from nas.export import largest_difference
    from nas.seeds import load_seed
    from search_spaces.network import build

    files = _format(request)
    network = build(spec).eval()
    if request.trained:
        network.load_state_dict(load_seed(request.spec).weights)
    with waiting(messages(), f"converting to {files.name}"):
        model = files.convert(network)
    write_whole(path, model)
    difference = largest_difference(network, files.open(model))
    if as_json:
        print_json(_facts(request, path, len(model)) | {"largest_difference": difference})
        return
    weights = "" if request.trained else ", random weights"
    messages().print(
        f"{_described(request, path, len(model))}{weights}; "
        f"logits differ from torch's by {difference:.1g}",
        soft_wrap=True,
    )


def _write_int8(request: Request, as_json: bool) -> None:
    path = request.path()
    from nas.quantize import quantized
    from nas.scoring import relabelled
    from nas.seeds import load_seed
    from nas.training.load import load_dataset

    names = read_class_file(request.classes) if request.classes is not None else None
    files, seed = _format(request), load_seed(request.spec)
    assert request.data is not None
    trained_px = seed.usage.trained_px
    with waiting(messages(), "reading images") as status:
        images = load_dataset(
            request.data,
            resolution_px=trained_px if request.resolution is None else request.resolution,
            background=seed.usage.background,
            progress=lambda done, total: status.update(f"reading images, {done} of {total}"),
        )
        notes: list[str] = []
        images = relabelled(images, seed.usage, classes=names, tell=notes.append)
        usage = replace(seed.usage, classes=images.classes, named=True)
        network = replace(seed, spec=replace(seed.spec, resolution=images.resolution_px)).network()
        model, compared = quantized(files, network, images, usage, progress=status.update)
    for note in notes:
        messages().print(note, soft_wrap=True)
    write_whole(path, model)
    if as_json:
        print_json(_facts(request, path, len(model)) | compared.to_dict())
        return
    results().print(_table(compared))
    console = messages()
    console.print(f"{_described(request, path, len(model))}, int8", soft_wrap=True)
    problems = compared.before.latency.problems + compared.after.latency.problems
    if problems:
        console.print(f"unstable latency: {problems[0]}; end other programs and export again")


def _format(request: Request) -> Format:
    """How files of the kind asked for are made.

    Raises:
        InputError: LiteRT is not installed.
    """
    if request.litert:
        from nas.litert import LITERT, require_litert

        with waiting(messages(), "loading LiteRT"):
            require_litert()
        return LITERT
    from nas.export import checked_onnx
    from nas.quantize import ONNX

    if not request.dynamic_batch:
        return ONNX
    return replace(ONNX, convert=lambda network: checked_onnx(network, dynamic_batch=True))


def _facts(request: Request, path: Path, size: int) -> dict[str, Any]:
    from search_spaces.onnx_export import OPSET

    return {
        "path": str(path),
        "opset": None if request.litert else OPSET,
        "bytes": size,
        "trained": request.trained,
        "int8": request.data is not None,
    }


def _described(request: Request, path: Path, size: int) -> str:
    from search_spaces.onnx_export import OPSET

    kind = "LiteRT" if request.litert else f"opset {OPSET}"
    return f"{path}: {size / 1e6:.1f} MB, {kind}"


def _table(compared: Comparison) -> Table:
    before, after = compared.before, compared.after
    table = Table(
        pad_edge=False,
        caption=(
            f"{compared.images} held-out images of {compared.px} px, {compared.agreement:.1%} given the "
            f"same class by both; calibrated on {compared.calibrated_on} training images; "
            f"measured: {after.latency.device}, batch 1"
        ),
    )
    table.add_column("file")
    for title in ("top-1", "median ms", "95% interval", "MB"):
        table.add_column(title, justify="right")
    for name, side in (("float", before), ("int8", after)):
        reading, size_mb = side.latency, f"{side.size / 1e6:.2f}"
        median = three_digits(reading.median_ms)
        table.add_row(name, f"{side.accuracy:.2%}", median, interval(reading), size_mb)
    points = 100 * (after.accuracy - before.accuracy)
    times = after.latency.median_ms / before.latency.median_ms
    smaller = f"x {after.size / before.size:.2f}"
    table.add_row("int8 against float", f"{points:+.2f}", f"x {times:.2f}", "", smaller)
    return table
