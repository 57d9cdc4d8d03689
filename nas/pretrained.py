"""Trained weights from elsewhere, as a seed."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from nas.seeds import Seed, Usage
from nas.torch_files import read_state_dict
from search_spaces import ArchSpec, InputError
from search_spaces.network import build
from search_spaces.torchvision_keys import to_torchvision, torchvision_names

if TYPE_CHECKING:
    from torch import Tensor

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
NAMED_MISMATCHES = 3


def import_seed(spec: ArchSpec, path: Path, *, trained_px: int | None = None) -> Seed:
    """A network with the weights in a file, under torchvision's names or our own.

    The number of classes is the file's, whatever the spec's. The images are taken to have been
    normalised as torchvision's weights want them; 1000 classes are taken to be ImageNet's.

    Args:
        spec: The network that the weights are of.
        path: A torch checkpoint or a .safetensors file.
        trained_px: Side of the images that they were trained on; the spec's resolution by default.

    Raises:
        InputError: No such file, no weights, code in it, or weights of another network: the first
            names and shapes that differ are in the message.
    """
    found = read_state_dict(path)
    spec = _with_classes_of(found, spec)
    weights = _ours(found, spec, path)
    usage = Usage(
        classes=_class_names(spec.head.classes),
        trained_px=trained_px or spec.resolution,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
    )
    return Seed(spec, weights, usage)


def placeholder_classes(count: int) -> tuple[str, ...]:
    """Names for classes that nobody has named.

    >>> placeholder_classes(3)
    ('0', '1', '2')
    """
    return tuple(map(str, range(count)))


def torchvision_state_dict(seed: Seed) -> OrderedDict[str, Tensor]:
    """A seed's weights as torchvision's class for it loads them.

    Raises:
        InputError: torchvision has no class for this network.
    """
    weights = OrderedDict(to_torchvision(seed.network().state_dict(), seed.spec))
    # MNASNet refuses a state dict that does not tell the version of its layout.
    weights._metadata = OrderedDict({"": {"version": 2}})  # type: ignore[attr-defined]
    return weights


def _class_names(count: int) -> tuple[str, ...]:
    if count == 1000:
        from torchvision.models import MobileNet_V2_Weights

        return tuple(MobileNet_V2_Weights.IMAGENET1K_V1.meta["categories"])
    return placeholder_classes(count)


def _with_classes_of(found: Mapping[str, Tensor], spec: ArchSpec) -> ArchSpec:
    """The spec with as many classes as the file's classifier has; itself where that is not to be seen."""
    ours = list(build(spec).state_dict())
    names = ours if _is_ours(found) else list(torchvision_names(ours, spec).values())
    bias = found.get(names[-1])
    if bias is None or bias.ndim != 1:
        return spec
    return replace(spec, head=replace(spec.head, classes=len(bias)))


def _is_ours(found: Mapping[str, Tensor]) -> bool:
    return "stem.0.weight" in found


def _ours(found: Mapping[str, Tensor], spec: ArchSpec, path: Path) -> dict[str, Tensor]:
    """The weights under our names, complete and of the right shapes."""
    wanted = build(spec).state_dict()
    ours = {name: name for name in wanted} if _is_ours(found) else torchvision_names(wanted, spec)
    weights: dict[str, Tensor] = {}
    problems: list[str] = []
    for our, their in ours.items():
        tensor = found.get(their)
        if tensor is None and our.endswith("num_batches_tracked"):
            tensor = torch.zeros((), dtype=torch.int64)  # older torch did not count them
        if tensor is None:
            problems.append(f"{their} is missing")
        elif tensor.shape != wanted[our].shape:
            sizes = f"{_shape(tensor)} in the file, {_shape(wanted[our])} in the network"
            problems.append(f"{their} is {sizes}")
        else:
            weights[our] = tensor.to(wanted[our].dtype)
    problems += [
        f"{name} is not in the network" for name in found if name not in set(ours.values())
    ]
    if problems:
        more = len(problems) - NAMED_MISMATCHES
        listed = "; ".join(islice(problems, NAMED_MISMATCHES)) + (
            f"; {more} more" if more > 0 else ""
        )
        raise InputError(
            f"{path}: weights of another network: {listed}: choose another --arch or --width"
        )
    return weights


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "a number"
