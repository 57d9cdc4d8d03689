"""What stands for a network on the command line: a reference's name, a YAML spec, a seed file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from search_spaces import REFERENCES, ArchSpec, InputError
from search_spaces.spec import load


def open_spec(name: str, *, resolution: int | None = None, classes: int | None = None) -> ArchSpec:
    """The network that `name` stands for.

    Args:
        name: A reference network's name, a .yaml or .yml spec, or a .pt seed file.
        resolution: Side in pixels in place of the network's own.
        classes: Number of classes in place of the network's own.

    Raises:
        InputError: Nothing of that name, or not a network.
    """
    if resolution is not None and resolution < 1:
        raise InputError(f"resolution must be at least 1, got {resolution}: give a side in pixels")
    if classes is not None and classes < 1:
        raise InputError(f"classes must be at least 1, got {classes}")
    spec = _read(name)
    if resolution is not None:
        spec = replace(spec, resolution=resolution)
    if classes is not None:
        spec = replace(spec, head=replace(spec.head, classes=classes))
    return spec


def _read(name: str) -> ArchSpec:
    if name in REFERENCES:
        return REFERENCES[name]()
    if name.endswith((".yaml", ".yml")):
        return load(name)
    if name.endswith(".pt"):
        from nas.seeds import load_seed

        return load_seed(name).spec
    if Path(name).is_dir() and (Path(name) / "best.yaml").is_file():
        return load(Path(name) / "best.yaml")
    known = ", ".join(REFERENCES)
    raise InputError(f"no network {name!r}: give a .yaml spec, a seed.pt, or one of {known}")
