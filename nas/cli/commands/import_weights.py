"""`nas import`: make a seed from trained weights of another program."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nas.atomic_files import write_whole
from nas.checkpoints.class_file import ClassFile, read_class_file
from nas.checkpoints.class_names import placeholder_classes
from nas.cli.options.groups import OptionGroup, with_groups
from nas.cli.provenance import say_run
from nas.cli.specs import ScaleOptions, is_reference, open_spec, stem
from nas.data.image_files.preparation import LEAST_CROP, usual_fit
from nas.display.output import JsonFlag, command, messages, print_json, require_writable_file
from nas.tasks import CLASSIFY, task_of_spec
from search_spaces import InputError
from search_spaces import count as count_cost
from search_spaces.shell import quoted

if TYPE_CHECKING:
    from nas.checkpoints.importing.pretrained import Kind
    from nas.checkpoints.importing.timm_layout import Normalization
    from search_spaces import ArchSpec


@dataclass(frozen=True, kw_only=True)
class WeightsOptions(OptionGroup):
    """The weights, and the network that they belong to."""

    weights: Annotated[
        Path, typer.Option(help="Weights file: torchvision's .pth, a checkpoint, or .safetensors.")
    ]
    arch: Annotated[
        str,
        typer.Option(
            help="Architecture of the weights: a reference network's name, timm's or torchvision's name, "
            "or a .yaml spec."
        ),
    ]
    resolution: Annotated[
        int | None,
        typer.Option(
            help="Side in pixels that the weights were trained at; default: the network's, or --like's."
        ),
    ] = None
    padding: Annotated[
        str | None,
        typer.Option(
            metavar="torch|same",
            help="Padding that the weights were trained with; same for TensorFlow's. Default: the "
            "network's, torch for a reference network.",
        ),
    ] = None
    bn_eps: Annotated[
        float | None,
        typer.Option(help="Batch norm's epsilon; 1e-3 for TensorFlow's. Default: the network's."),
    ] = None
    normalization: Annotated[
        str | None,
        typer.Option(
            metavar="imagenet|inception|none",
            help="Of the images: by ImageNet's mean and deviation; to -1..1, as for TensorFlow's weights "
            "and torchvision's SSDLite; or to 0..1 alone. Default: what is usual for the weights.",
        ),
    ] = None
    center_crop: Annotated[
        float | None,
        typer.Option(
            metavar="FRACTION",
            help="Fraction of the shorter side that the network sees; published ImageNet weights are "
            "evaluated with 0.875. Default: 1, or --like's.",
        ),
    ] = None
    weights_of: Annotated[
        str | None,
        typer.Option(
            metavar="model|ema",
            help="Which weights to take if the file also has averaged (EMA) ones; default: model.",
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class LabelOptions(OptionGroup):
    """The classes of the network."""

    classes: Annotated[
        str | None,
        typer.Option(
            metavar="N|FILE",
            help="A number: replace what scores the classes by a new one for this many. A file: the class "
            "names of the weights, one per line in order.",
        ),
    ] = None
    like: Annotated[
        Path | None,
        typer.Option(
            help="A seed.pt trained on the same images: take its class names, normalization and image "
            "size, in place of ImageNet's."
        ),
    ] = None


@with_groups
def import_weights(
    source: WeightsOptions,
    labels: LabelOptions,
    scale: ScaleOptions,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="File to write; default: ARCH-seed.pt in the current folder."
        ),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Make a seed.pt from weights with torchvision's names, timm's or our own.

    Classifiers, and torchvision's ssdlite320_mobilenet_v3_large and lraspp_mobilenet_v3_large.
    """
    like, (count, names) = labels.like, _classes(labels.classes)
    if names is not None and like is not None:
        raise InputError(
            f"--classes {labels.classes} and --like {like} both name the classes: give one of them"
        )
    kind, crop = _kind(source.weights_of), _crop(source.center_crop)
    spec, normalization = _network(source, scale)
    if crop is not None and usual_fit(task_of_spec(spec)) != "crop":
        raise InputError(
            f"--center-crop {crop:g} applies to classifiers: {source.arch} sees whole images, leave it out"
        )
    path = output or Path(f"{stem(source.arch)}-seed.pt")
    require_writable_file(path, source=source.weights, is_chosen=output is not None)
    from nas.checkpoints.checkpoint import checkpoint_bytes, load_checkpoint  # these import torch
    from nas.checkpoints.importing.pretrained import import_checkpoint

    console = messages()
    seed = import_checkpoint(
        spec,
        source.weights,
        kind=kind,
        headless=count is not None,
        normalization=normalization,
        crop=1.0 if crop is None else crop,
        keep_background=names is not None and len(names.names) == spec.head.classes + 1,
        notify=lambda note: console.print(note, soft_wrap=True),
    )
    if like is not None:
        seed = seed.used_like(load_checkpoint(like), px=source.resolution)
        say_run(like)
        if crop is not None:
            seed = replace(seed, usage=replace(seed.usage, crop=crop))
    if count is not None:
        seed = seed.with_classes(placeholder_classes(count), named=False)
    elif names is not None:
        usage = replace(seed.usage, classes=names.named(len(seed.usage.classes)), named=True)
        seed = replace(seed, usage=usage)
    write_whole(path, checkpoint_bytes(seed))
    cost = count_cost(seed.spec)
    if as_json:
        document = {"path": str(path), "params": cost.params, "classes": len(seed.usage.classes)}
        print_json(document | {"named": seed.usage.named})
        return
    layers = "classifier" if task_of_spec(spec) == CLASSIFY else "head"
    head = f"a new {layers}" if count is not None else f"its {layers}"
    renewed = " --new-classifier" if count is None and like is None and names is None else ""
    console.print(
        f"{path}: {cost.params:,} parameters, {head} of {len(seed.usage.classes)} classes"
        f"{_about_names(seed.spec, assumed=count is None and names is None and like is None)}\n"
        f"next: {command(f'train {quoted(path)} --data DIR{renewed}')}",
        soft_wrap=True,
    )


def _network(source: WeightsOptions, scale: ScaleOptions) -> tuple[ArchSpec, Normalization | None]:
    """Return the network of the weights, and the normalization of its images if it is chosen or known.

    Raises:
        InputError: No such network, or an option does not apply to it.
    """
    from nas.checkpoints.importing.timm_layout import timm_network  # imports torch
    from nas.checkpoints.importing.torchvision_networks import torchvision_network

    normalization = _choice(
        "--normalization", source.normalization, ("imagenet", "inception", "none")
    )
    padding = _choice("--padding", source.padding, ("torch", "same"))
    named, dense = timm_network(source.arch), torchvision_network(source.arch)
    known = dense if named is None else named.spec
    usual = None if named is None else named.normalization
    if known is not None:
        if scale.width is not None or scale.convention is not None:
            raise InputError(
                f"the name {source.arch} has a width: leave --width and --convention out"
            )
        spec = known if source.resolution is None else replace(known, resolution=source.resolution)
    else:
        changes = scale.changes(resolution=source.resolution)
        if changes.convention is None:
            changes = replace(changes, convention=_convention(source.arch))
        spec = open_spec(source.arch, changes)
    if source.bn_eps is not None and source.bn_eps <= 0:
        raise InputError(
            f"--bn-eps must be above 0, got {source.bn_eps:g}: 1e-3 and 1e-5 are common"
        )
    spec = replace(
        spec,
        padding=padding or spec.padding,  # type: ignore[arg-type] # checked above
        bn_eps=spec.bn_eps if source.bn_eps is None else source.bn_eps,
    )
    return spec, normalization or usual  # type: ignore[return-value] # checked above


def _choice(option: str, given: str | None, known: tuple[str, ...]) -> str | None:
    if given is not None and given not in known:
        raise InputError(f"{option} must be {' or '.join(known)}, got {given!r}")
    return given


def _classes(given: str | None) -> tuple[int | None, ClassFile | None]:
    """Parse `--classes`: a number of new classes, or a file with the names of the existing ones.

    Raises:
        InputError: It is neither, or a file that maps folders to classes.
    """
    if given is None:
        return None, None
    if re.fullmatch(r"[+-]?\d{1,9}", given):
        if int(given) < 1:
            raise InputError(f"classes must be at least 1, got {given}")
        return int(given), None
    names = read_class_file(Path(given))
    if not names.names:
        raise InputError(
            f"{given} maps folders to classes, which nas evaluate and nas train take: give nas import a "
            "file with the class names, one per line"
        )
    return None, names


def _crop(given: float | None) -> float | None:
    if given is not None and not LEAST_CROP <= given <= 1:
        raise InputError(
            f"--center-crop must be from {LEAST_CROP:g} to 1, got {given:g}: 0.875 is common for ImageNet"
        )
    return given


def _kind(weights_of: str | None) -> Kind | None:
    if weights_of not in (None, "model", "ema"):
        raise InputError(f"--weights-of must be model or ema, got {weights_of!r}")
    return weights_of  # type: ignore[return-value] # checked above


def _about_names(spec: ArchSpec, *, assumed: bool) -> str:
    """Describe the source of the class names, unless the user gave them."""
    from nas.checkpoints.importing.published_classes import published_names  # imports torch

    if not assumed:
        return ""
    owner = published_names(spec).owner
    return f", with {owner}'s names" if owner else ", without names (set them with --classes FILE)"


def _convention(arch: str) -> str | None:
    """Return torchvision's rounding rule for reference networks, as most files use it; None for a spec."""
    return "torchvision" if is_reference(arch) else None
