"""`nas import`: trained weights from elsewhere, as a seed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nas.cli.output import JsonFlag, command, messages, not_over, print_json
from nas.cli.provenance import say_run
from nas.cli.specs import Changes, ConventionOption, WidthOption, open_spec, stem
from nas.files import write_whole
from search_spaces import InputError, count
from search_spaces.shell import quoted


def import_weights(
    weights: Annotated[
        Path, typer.Option(help="torchvision's .pth, a checkpoint, or .safetensors.")
    ],
    arch: Annotated[
        str, typer.Option(help="A reference's name or a .yaml spec: what the weights are of.")
    ],
    width: WidthOption = None,
    convention: ConventionOption = None,
    resolution: Annotated[
        int | None,
        typer.Option(
            help="Side in pixels that they were trained at; default the network's. With --like that seed's."
        ),
    ] = None,
    classes: Annotated[
        int | None, typer.Option(help="A new classifier for so many classes, freshly drawn.")
    ] = None,
    like: Annotated[
        Path | None,
        typer.Option(
            help="A seed.pt trained on the same images: its class names, normalisation and image size "
            "are these weights' too. ImageNet's otherwise."
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Default: ARCH-seed.pt, in this folder.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Make a seed.pt from weights under torchvision's names or our own."""
    if classes is not None and classes < 1:
        raise InputError(f"classes must be at least 1, got {classes}")
    spec = open_spec(arch, Changes(resolution, None, width, convention or _convention(arch)))
    path = not_over(output or Path(f"{stem(arch)}-seed.pt"), weights)
    if output is None and path.exists():
        raise InputError(f"{path} exists: move it away, or choose another --output")
    if not path.parent.is_dir():
        raise InputError(f"{path.parent} is no folder: make it, or choose another --output")
    from nas.pretrained import import_seed, placeholder_classes
    from nas.seeds import load_seed, seed_bytes

    seed = import_seed(spec, weights)
    if like is not None:
        seed = seed.used_like(load_seed(like))
        say_run(like)
    if classes is not None:
        seed = seed.with_classes(placeholder_classes(classes))
    write_whole(path, seed_bytes(seed))
    cost = count(seed.spec)
    if as_json:
        print_json({"path": str(path), "params": cost.params, "classes": len(seed.usage.classes)})
        return
    head = "a new classifier" if classes is not None else "its classifier"
    renewed = " --new-classifier" if classes is None and like is None else ""
    messages().print(
        f"{path}: {cost.params:,} parameters, {head} of {len(seed.usage.classes)} classes\n"
        f"next: {command(f'train {quoted(path)} --data DIR{renewed}')}",
        soft_wrap=True,
    )


def _convention(arch: str) -> str | None:
    """Widths are torchvision's, as most files are. A spec from a file has widths already."""
    from search_spaces import REFERENCES

    return "torchvision" if arch.partition("@")[0] in REFERENCES else None
