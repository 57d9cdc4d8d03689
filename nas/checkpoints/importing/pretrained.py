"""Import trained weights from other programs as a checkpoint."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch

from nas.checkpoints.checkpoint import Checkpoint
from nas.checkpoints.class_names import listed
from nas.checkpoints.importing.closest_network import closest, expected, is_ours, matching
from nas.checkpoints.importing.published_classes import published_names
from nas.checkpoints.importing.timm_layout import Normalization, from_timm, is_timm
from nas.checkpoints.importing.weight_files import Weights, read_weights
from nas.checkpoints.importing.weight_layouts import foreign_layout
from nas.checkpoints.sound_weights import converted, shape, stored_values
from nas.checkpoints.usage import NORMALIZATIONS, Usage
from nas.data.image_files.preparation import usual_fit
from nas.tasks import CLASSIFY, task_of_spec
from search_spaces import ArchSpec, InputError
from search_spaces.channels import class_tensors, classes_with
from search_spaces.heads.specs import SSDLiteHead
from search_spaces.network import build
from search_spaces.torchvision_keys import scheme_of, to_torchvision, torchvision_names

if TYPE_CHECKING:
    from torch import Tensor

WITH_BACKGROUND = 1001
"""Classes of TensorFlow's ImageNet networks, whose first is the background."""

NAMED_MISMATCHES = 3

Kind = Literal["model", "ema"]
"""Raw weights, or their moving average."""


def import_checkpoint(
    spec: ArchSpec,
    path: Path,
    *,
    trained_px: int | None = None,
    kind: Kind | None = None,
    headless: bool = False,
    normalization: Normalization | None = None,
    crop: float = 1.0,
    keep_background: bool = False,
    notify: Callable[[str], None] = lambda _: None,
) -> Checkpoint:
    """Read a network's weights from a file, under torchvision's names, timm's or ours.

    The file determines the number of classes; for their names see `published_names`. Of a classifier's 1001
    classes the first is assumed to be TensorFlow's background, and left out.

    Args:
        spec: The network that the weights belong to.
        path: A torch checkpoint or a .safetensors file.
        trained_px: Resolution of the training images; the spec's by default.
        kind: Which weights to take if a file has both; `model` by default.
        headless: Whether what scores the classes may be missing: it is then drawn at random, for the spec's
            classes.
        normalization: Of the images: by ImageNet's mean and deviation, or to -1..1 (`inception`). The
            default is ImageNet's, except for torchvision's SSDLite.
        crop: Fraction of the shorter side that they show: see `Preparation`.
        keep_background: Whether to keep all of 1001 classes.
        notify: Is notified of the choice if a file has several sets of weights, and of a class left out.

    Raises:
        InputError: The file is missing, contains no weights, code, weights that are not finite, or those of
            another network; the message names the first mismatches.
    """
    sets = [replace(weights, tensors=_renamed(weights.tensors)) for weights in read_weights(path)]
    found = _chosen(sets, spec, path, kind, notify)
    _require_stored(found, path)
    _require_layout(found, path)
    _require_scheme(found, spec, path)
    spec = _with_classes_of(found, spec)
    weights = _ours(found, spec, path, headless=headless)
    mean, std = NORMALIZATIONS[normalization or _usual_normalization(found, spec)]
    names, task = published_names(spec), task_of_spec(spec)
    usage = Usage(
        classes=names.classes,
        trained_px=trained_px or spec.resolution,
        mean=mean,
        std=std,
        named=bool(names.owner),
        crop=crop,
        fit=usual_fit(task),
    )
    checkpoint = Checkpoint(spec, weights, usage)
    if task != CLASSIFY or spec.head.classes != WITH_BACKGROUND or keep_background:
        return checkpoint
    notify(f"{path}: left out the first of {spec.head.classes:,} classes, TensorFlow's background")
    return without_first_class(checkpoint)


def _usual_normalization(found: Mapping[str, Tensor], spec: ArchSpec) -> Normalization:
    """Return how torchvision normalizes the images of its networks: to -1..1 only for SSDLite."""
    theirs = isinstance(spec.head, SSDLiteHead) and not is_ours(found)
    return "inception" if theirs else "imagenet"


def without_first_class(checkpoint: Checkpoint) -> Checkpoint:
    """Return a classifier without its first output; if ImageNet's 1000 are left, they get their names."""
    weights = dict(checkpoint.weights)
    for name in class_tensors(checkpoint.spec):
        weights[name] = weights[name][1:].clone()
    head = checkpoint.spec.head
    spec = replace(checkpoint.spec, head=replace(head, classes=head.classes - 1))
    names = published_names(spec)
    usage = replace(checkpoint.usage, classes=names.classes, named=bool(names.owner))
    return replace(checkpoint, spec=spec, weights=weights, usage=usage)


def _renamed(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return from_timm(tensors) if is_timm(tensors) else tensors


def torchvision_state_dict(checkpoint: Checkpoint) -> OrderedDict[str, Tensor]:
    """Return a checkpoint's weights under the names of torchvision's class for the network.

    Raises:
        InputError: torchvision has no class for this network.
    """
    weights = OrderedDict(to_torchvision(checkpoint.network().state_dict(), checkpoint.spec))
    # MNASNet refuses a state dict without the version of its layout.
    weights._metadata = OrderedDict({"": {"version": 2}})  # type: ignore[attr-defined]
    return weights


def _chosen(
    sets: Sequence[Weights],
    spec: ArchSpec,
    path: Path,
    kind: Kind | None,
    notify: Callable[[str], None],
) -> dict[str, Tensor]:
    """Choose a set of weights of the requested kind: the one that fits the network best.

    Raises:
        InputError: The file has no weights of that kind.
    """
    fit = {id(weights): _fit(weights, spec) for weights in sets}
    most = max(fit.values())
    sets = [
        weights for weights in sets if 2 * fit[id(weights)] >= most
    ]  # the others are not the network's, but a loss's for instance
    by_kind = {
        "model": [weights for weights in sets if not weights.averaged],
        "ema": [weights for weights in sets if weights.averaged],
    }
    wanted = kind or ("model" if by_kind["model"] else "ema")
    if not by_kind[wanted]:
        has, other = ("averaged", "ema") if wanted == "model" else ("plain", "model")
        raise InputError(
            f"{path}: contains only {has} weights, got --weights-of {wanted}: give --weights-of {other}"
        )
    best = max(by_kind[wanted], key=lambda weights: (fit[id(weights)], len(weights.tensors)))
    others = [weights for weights in sets if weights is not best]
    if others or best.averaged:
        notify(_choice(best, others, path))
    return best.tensors


def _fit(weights: Weights, spec: ArchSpec) -> int:
    """Count the network's names that a set has; if the naming scheme is unknown, its tensors."""
    try:
        wanted = expected(spec, ours=is_ours(weights.tensors))
    except InputError:
        return len(weights.tensors)
    return sum(name in weights.tensors for name in wanted)


def _choice(best: Weights, others: Sequence[Weights], path: Path) -> str:
    what = "averaged (EMA)" if best.averaged else "plain"
    said = f"{path}: took the {what} weights" + (f" ({best.where})" if best.where else "")
    different = [weights for weights in others if weights.averaged != best.averaged]
    if different:
        other = "model" if best.averaged else "ema"
        name = "plain" if best.averaged else "averaged (EMA)"
        return f"{said}; it has {name} ones too ({different[0].where}): --weights-of {other} takes them"
    if others:
        return f"{said}; it has others that fit as well: {listed(w.where for w in others)}"
    return said


def _require_stored(found: Mapping[str, Tensor], path: Path) -> None:
    """Check that all values are stored: the number of classes is taken from the file."""
    for name, tensor in found.items():
        if tensor.layout == torch.strided and tensor.numel() > stored_values(tensor):
            raise InputError(
                f"{path}: damaged: {name[:80]} is {shape(tensor)}, but only {stored_values(tensor)} values "
                "are stored: save the weights again"
            )


def _require_layout(found: Mapping[str, Tensor], path: Path) -> None:
    if not is_ours(found) and (layout := foreign_layout(found)) is not None:
        raise InputError(f"{path}: {layout}")


def _require_scheme(found: Mapping[str, Tensor], spec: ArchSpec, path: Path) -> None:
    """Check that the network can be named by the file's scheme."""
    if is_ours(found):
        return
    try:
        scheme_of(spec)
    except InputError as error:
        near = closest(found)
        mend = f"; did you mean {near.options}?" if near is not None else ""
        raise InputError(f"{path}: {error}{mend}") from error


def _with_classes_of(found: Mapping[str, Tensor], spec: ArchSpec) -> ArchSpec:
    """Return the spec with the number of classes of the file's weights, if that can be read."""
    last = class_tensors(spec)[-1]
    bias = found.get(last if is_ours(found) else torchvision_names([last], spec)[last])
    if bias is None or bias.ndim != 1:
        return spec
    classes = classes_with(spec, len(bias))
    return spec if classes is None else replace(spec, head=replace(spec.head, classes=classes))


def _ours(
    found: Mapping[str, Tensor], spec: ArchSpec, path: Path, *, headless: bool
) -> dict[str, Tensor]:
    """Return the weights under our names, complete and checked."""
    wanted = build(spec).state_dict()
    names = {name: name for name in wanted} if is_ours(found) else torchvision_names(wanted, spec)
    classifier = class_tensors(spec)
    missing_head = all(names[name] not in found for name in classifier)
    weights: dict[str, Tensor] = {}
    for our, their in names.items():
        tensor = found.get(their)
        if tensor is None and our.endswith("num_batches_tracked"):
            tensor = torch.zeros(
                (), dtype=torch.int64
            )  # missing in files from old versions of torch
        if tensor is None and missing_head and our in classifier:
            tensor = wanted[our]
        if tensor is not None and tensor.shape == wanted[our].shape:
            weights[our] = tensor
    problems = _problems(found, wanted, names, without=classifier if missing_head else ())
    if problems:
        raise InputError(_of_another(path, found, wanted, names, problems))
    if missing_head and not headless:
        raise InputError(
            f"{path}: the weights have no classifier ({names[classifier[0]]} is missing): give --classes N "
            "to draw one for N classes"
        )
    try:
        return {our: converted(names[our], w, wanted[our]) for our, w in weights.items()}
    except ValueError as error:
        raise InputError(f"{path}: {error}: give valid weights") from error


def _problems(
    found: Mapping[str, Tensor],
    wanted: Mapping[str, Tensor],
    names: Mapping[str, str],
    *,
    without: Sequence[str],
) -> list[str]:
    """List the differences between a file and a network: missing names, shapes, superfluous names."""
    problems = []
    for our, their in names.items():
        tensor = found.get(their)
        if tensor is None:
            if our not in without and not our.endswith("num_batches_tracked"):
                problems.append(f"{their} is missing")
        elif tensor.shape != wanted[our].shape:
            sizes = f"{shape(tensor)} in the file, {shape(wanted[our])} in the network"
            problems.append(f"{their} is {sizes}")
    known = set(names.values())
    return problems + [f"{name[:80]} is not in the network" for name in found if name not in known]


def _of_another(
    path: Path,
    found: Mapping[str, Tensor],
    wanted: Mapping[str, Tensor],
    names: Mapping[str, str],
    problems: Sequence[str],
) -> str:
    """Return the message for weights of another network."""
    theirs = {names[our]: tensor for our, tensor in wanted.items()}
    agreeing = matching(found, theirs)
    near = closest(found)
    mend = "choose another --arch or --width"
    if near is not None and near.matching > agreeing:
        mend = f"did you mean {near.options} ({near.matching} of its weights match)?"
    said = listed(problems, "; ", count=NAMED_MISMATCHES)
    return (
        f"{path}: weights of another network, {agreeing} of {len(theirs)} names and shapes match: "
        f"{said}: {mend}"
    )
