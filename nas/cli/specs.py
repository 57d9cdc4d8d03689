"""Open a network named on the command line: a reference name, a YAML spec, a seed file or a run folder."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer

from nas.adapting.results.record import is_adapt_run
from nas.cli.options.groups import OptionGroup
from nas.cli.provenance import say_run
from nas.comparing.config import is_comparison
from nas.engine.folder.run_folder import RunFolder
from search_spaces import REFERENCES, ArchSpec, InputError
from search_spaces.heads.named import KINDS, default_px, with_head
from search_spaces.nearest import did_you_mean
from search_spaces.references import Convention
from search_spaces.shell import quoted
from search_spaces.spec import load

SpecName = Annotated[
    str, typer.Argument(help="A .yaml spec, a seed.pt, a run's folder, or a reference's name.")
]
WEIGHTS = (".pth", ".safetensors", ".ckpt", ".bin")

ClassFileOption = Annotated[
    Path | None,
    typer.Option(
        "--classes",
        metavar="FILE",
        help="The network's class names in order, one per line; or YAML or JSON that maps each folder to "
        "its class (FOLDER: NAME or INDEX).",
    ),
]


@dataclass(frozen=True)
class Changes:
    """Changes to a named network; None keeps its own value.

    Attributes:
        resolution: Side in pixels.
        classes: Number of classes.
        width: Width multiplier; only for reference networks, as other specs have absolute widths.
        convention: Rounding rule of the multiplier.
    """

    resolution: int | None = None
    classes: int | None = None
    width: float | None = None
    convention: str | None = None


@dataclass(frozen=True, kw_only=True)
class ScaleOptions(OptionGroup):
    """The width of a reference network."""

    panel = "Reference networks"

    width: Annotated[
        float | None,
        typer.Option(help="Width multiplier for reference networks named without @MULTIPLIER."),
    ] = None
    convention: Annotated[
        str | None,
        typer.Option(
            metavar="paper|torchvision",
            help="Rounding rule for the widths of a scaled MobileNetV3; paper by default.",
        ),
    ] = None

    def changes(self, *, resolution: int | None = None, classes: int | None = None) -> Changes:
        """Return the changes to make to a network."""
        return Changes(resolution, classes, self.width, self.convention)


def open_spec(name: str, changes: Changes = Changes()) -> ArchSpec:
    """Open the network called `name`.

    Args:
        name: A reference name, optionally with a width multiplier (mobilenet_v2@0.75), a .yaml or .yml
            spec, a .pt seed file, or a run's folder; then optionally a colon and a head
            (mobilenet_v3_large:ssdlite), see `heads.named`.
        changes: Changes to make.

    Raises:
        InputError: No such network, or a change does not apply to it.
    """
    if changes.resolution is not None and changes.resolution < 1:
        raise InputError(
            f"resolution must be at least 1, got {changes.resolution}: give a side in pixels"
        )
    if changes.classes is not None and changes.classes < 1:
        raise InputError(f"classes must be at least 1, got {changes.classes}")
    name, head = _split_head(name)
    spec = _read(name, changes)
    if head is not None:
        width = _multiplier(name, changes)
        spec = with_head(spec, head, classes=changes.classes, width=width)
        if is_reference(name):
            spec = replace(spec, resolution=default_px(head))
    if changes.resolution is not None:
        spec = replace(spec, resolution=changes.resolution)
    if changes.classes is not None:
        spec = replace(spec, head=replace(spec.head, classes=changes.classes))
    return spec


def is_reference(name: str) -> bool:
    """Return whether a name is that of a published network.

    >>> is_reference("mobilenet_v2@0.75:ssdlite"), is_reference("found.yaml")
    (True, False)
    """
    return re.split("[@:]", name)[0] in REFERENCES


def _split_head(name: str) -> tuple[str, str | None]:
    """Split off the head; a file's name may have a colon of its own."""
    body, colon, head = name.rpartition(":")
    known = colon and (is_reference(name) or head.split("-")[0] in KINDS)
    return (body, head) if known and not Path(name).exists() else (name, None)


def _multiplier(name: str, changes: Changes) -> float:
    """Return the width multiplier of a published network; 1 for other names."""
    _, at, multiplier = name.partition("@")
    if not is_reference(name):
        return 1.0
    if at and changes.width is not None:
        raise InputError(
            f"{name} and --width {changes.width:g} both set the width multiplier: give one of them"
        )
    width = _width(multiplier, name) if at else changes.width
    return 1.0 if width is None else width


def _read(name: str, changes: Changes) -> ArchSpec:
    name = str(of_training(name) or name)
    base = name.partition("@")[0]
    if base in REFERENCES:
        convention: Convention = changes.convention or "paper"  # type: ignore[assignment] # checked there
        return REFERENCES[base](width=_multiplier(name, changes), convention=convention)
    if name.endswith((".yaml", ".yml")):
        spec = load(name)
        say_run(name)
    elif name.endswith(".pt"):
        from nas.checkpoints.checkpoint import load_checkpoint  # imports torch

        seed = load_checkpoint(name)
        say_run(name, seed.run)
        spec = seed.spec
    elif (found := of_run(name, ".yaml")) is not None:
        spec = load(found)
        say_run(found)  # a folder of runs holds a published copy
    elif name.endswith(WEIGHTS) and Path(name).is_file():
        raise InputError(
            f"{name} has weights only: make a seed with nas import --arch NAME --weights {name}"
        )
    else:
        known = ", ".join(REFERENCES)
        hint = did_you_mean(base, REFERENCES)
        raise InputError(
            f"no network {name!r}: give a .yaml spec, a seed.pt, or one of {known}{hint}"
        )
    for option in ("width", "convention"):
        if getattr(changes, option) is not None:
            raise InputError(
                f"--{option} applies to reference networks only, got {name}, whose widths are absolute"
            )
    return spec


def of_run(name: str, suffix: str) -> Path | None:
    """Return the result file of a run, or None if `name` is not a run's folder.

    Args:
        name: Possibly a run's folder.
        suffix: `.yaml` for the spec, `.pt` for the network with its weights; a training has only that.

    Raises:
        InputError: The run has no result yet.
    """
    if suffix == ".pt" and (output := of_training(name)) is not None:
        return output
    folder = RunFolder(Path(name))
    if is_comparison(folder.path):
        raise InputError(
            f"{name} is a comparison of several networks: give one of the files that its compare.json names"
        )
    if is_adapt_run(folder):
        path, program = folder / f"adapted{suffix}", "netadapt"
    elif any((folder / file).is_file() for file in ("trials.jsonl", "best.yaml", "seed.pt")):
        path, program = folder / {".yaml": "best.yaml", ".pt": "seed.pt"}[suffix], "nas-search"
    else:
        return None
    if not path.is_file():
        by_command = (folder / "config.yaml").is_file()
        mend = f"{program} --resume {quoted(name)}" if by_command else "the same call in Python"
        raise InputError(f"{name} has no result yet: resume it with {mend}")
    return path


def of_training(name: str) -> Path | None:
    """Return the network that a run of `nas train` wrote; None if `name` is not the folder of one.

    Raises:
        InputError: The training is not finished, or the file is gone.
    """
    folder = Path(name)
    if not (folder / "config.yaml").is_file() or (folder / "run.json").is_file():
        return None
    from nas.training_runs.config import TrainConfig, is_training

    if not is_training(folder):
        return None
    output = TrainConfig.read(folder).output
    if not (folder / "result.json").is_file():
        raise InputError(
            f"{name} has no result yet: resume it with nas train --resume {quoted(name)}"
        )
    if not output.is_file():
        raise InputError(f"{name}: its network, {output}, is gone: restore the file")
    return output


def trained_file(name: str, *, mend: str) -> Path:
    """Return the file of a trained network; for a run, its checkpoint.

    Args:
        name: A file, or a run's folder.
        mend: How to train an untrained network, for the error message.

    Raises:
        InputError: The network has no weights, or the folder is not a run's.
    """
    path = of_run(name, ".pt") or Path(name)
    if is_reference(name) or path.suffix in (".yaml", ".yml"):
        raise InputError(f"{name} has no weights: {mend}")
    if path.is_dir():
        raise InputError(
            f"{name} is not a run's folder: give a run, or a .pt, .onnx or .tflite file"
        )
    return path


def stem(name: str) -> str:
    """Return the base name for files made from a network.

    >>> stem("mobilenet_v2@0.75:ssdlite"), stem("runs/one/seed.pt")
    ('mobilenet_v2-0.75-ssdlite', 'seed')
    """
    path = Path(name)
    known = path.stem if path.suffix in (".pt", ".yaml", ".yml") else path.name
    return known.replace("@", "-").replace(":", "-")


def _width(text: str, name: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(
            f"{name!r}: expected a width multiplier after @, for instance {name.partition('@')[0]}@0.75"
        ) from None
