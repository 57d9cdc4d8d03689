"""Checkpoints (`seed.pt`): a network with its weights, and what is needed to use it."""

from __future__ import annotations

import io
import math
import textwrap
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, get_args

import torch

from nas.checkpoints.class_names import placeholder_classes
from nas.checkpoints.feeding import Feed
from nas.checkpoints.sound_weights import converted, stored_values
from nas.checkpoints.torch_files import read_torch
from nas.checkpoints.usage import Usage as Usage
from nas.data.image_files.preparation import LEAST_CROP, Fit
from nas.data.splits.rule import SplitRule
from nas.tasks import CLASSIFY, task_of_spec
from nas.tasks.heads import headed
from netadapt.weights import inherit
from search_spaces import REFERENCES, ArchSpec, InputError, count
from search_spaces.channels import class_tensors
from search_spaces.heads.named import narrowed_tail
from search_spaces.network import Network, build
from search_spaces.spec import from_dict, to_dict

FORMAT = "mobile-nas seed 1"
CROPPED_FORMAT = "mobile-nas seed 2"
"""Of networks whose images are cropped for evaluation, which earlier versions would not do."""

TASK_FORMAT = "mobile-nas seed 3"
"""Of networks for other tasks than classification, which earlier versions do not know."""

FORMATS = (FORMAT, CROPPED_FORMAT, TASK_FORMAT)

LONGEST_DETAIL = 200
LARGEST_PX = 1 << 14
"""Maximum plausible resolution; a larger one means that the file is damaged."""


@dataclass(frozen=True)
class Checkpoint:
    """A trained network, as kept in a file.

    Attributes:
        spec: The network.
        weights: Its state dict.
        usage: Its input preparation and its classes.
        device: The device that it was searched for, as `--device` names it; empty if there was none.
        run: Name of the run that a published copy comes from (`nas.engine.folder.publishing`); empty for
            all other files, and not inherited by checkpoints made from this one.
        from_parent: Whether it belongs to a search from a parent: the parent itself as fine-tuned there, or
            a network that inherited its weights. NetAdapt then keeps channels by their importance.
    """

    spec: ArchSpec
    weights: dict[str, torch.Tensor]
    usage: Usage
    device: str = ""
    run: str = ""
    from_parent: bool = False

    def network(self) -> Network:
        """Build the network with its weights, in eval mode."""
        network = build(self.spec)
        network.load_state_dict(self.weights)
        return network.eval()

    def used_like(self, other: Checkpoint, *, px: int | None = None) -> Checkpoint:
        """Return this network with the usage of another that was trained on the same images.

        Args:
            other: A checkpoint.
            px: Deployed resolution; that of `other` by default.

        Raises:
            InputError: The numbers of classes differ.
        """
        ours, theirs = len(self.usage.classes), len(other.usage.classes)
        if ours != theirs:
            raise InputError(
                f"the weights have {ours} classes and the checkpoint given as like them has {theirs}: "
                "give one that was trained on the same images"
            )
        spec = replace(self.spec, resolution=other.spec.resolution if px is None else px)
        return replace(self, spec=spec, usage=other.usage)

    def with_classes(
        self,
        classes: tuple[str, ...],
        *,
        named: bool = True,
        generator: torch.Generator | None = None,
    ) -> Checkpoint:
        """Return the network with new, randomly initialized class scores; see `for_task`."""
        task = task_of_spec(self.spec)
        return self.for_task(task, classes, named=named, generator=generator)

    def for_task(
        self,
        task: str,
        classes: tuple[str, ...],
        *,
        head: str | None = None,
        named: bool = True,
        generator: torch.Generator | None = None,
    ) -> Checkpoint:
        """Return the network for other classes, or with a new head for another task.

        What scores the classes is drawn anew; of the rest, what both networks have is kept.

        Args:
            task: Name of the task; see `nas.tasks.task_of`.
            classes: Names of the new classes.
            head: Name of the head; see `nas.tasks.heads.headed`. Where it halves the last stage, the first
                channels are kept.
            named: Whether they are real; see `Usage`.
            generator: Draws the weights; seeded with 0 by default.

        Raises:
            InputError: See `nas.tasks.heads.headed`.
        """
        spec = headed(self.spec, task, classes=len(classes), head=head)
        body = self.spec if head is None else narrowed_tail(self.spec, head)
        known = self.weights if body == self.spec else inherit(self.spec, self.weights, body)
        anew = {*class_tensors(spec), *class_tensors(self.spec)}
        weights = {
            name: tensor if name in anew or name not in known else known[name]
            for name, tensor in build(spec, generator=generator).state_dict().items()
        }
        usage = replace(self.usage, classes=classes, named=named)
        return replace(self, spec=spec, weights=weights, usage=usage)


def checkpoint_bytes(
    checkpoint: Checkpoint, *, run: str = "", also: Mapping[str, Any] | None = None
) -> bytes:
    """Serialize a checkpoint as plain containers and tensors, without executable content.

    Its entry `feed` describes the network's input to other programs (`nas.checkpoints.feeding`);
    `load_checkpoint` ignores it.

    Args:
        checkpoint: The checkpoint.
        run: Name of the run that the file belongs to; `checkpoint.run` is not written.
        also: Further entries, of containers, numbers and tensors, which `load_checkpoint` ignores.
    """
    buffer = io.BytesIO()
    content = {
        "format": _format(checkpoint),
        "spec": to_dict(checkpoint.spec),
        "weights": {name: tensor.cpu() for name, tensor in checkpoint.weights.items()},
        "usage": _usage_data(checkpoint.usage),
        "device": checkpoint.device,
        "feed": Feed.of(checkpoint).to_dict(),
    }
    named = {"run": run} if run else {}
    descent = {"from_parent": True} if checkpoint.from_parent else {}
    torch.save({**(also or {}), **content, **named, **descent}, buffer)
    return buffer.getvalue()


def _format(checkpoint: Checkpoint) -> str:
    if task_of_spec(checkpoint.spec) != CLASSIFY:
        return TASK_FORMAT
    return FORMAT if checkpoint.usage.crop == 1 else CROPPED_FORMAT


def _usage_data(usage: Usage) -> dict[str, Any]:
    """Return plain data; `fit` is left out where it is the default, as before there was another."""
    data = asdict(usage)
    if usage.fit == "crop":
        del data["fit"]
    return data


def load_checkpoint(path: Path | str) -> Checkpoint:
    """Read a checkpoint from a file.

    Raises:
        InputError: The file is missing, not a checkpoint, contains code, weights of another network, or
            weights that are not finite.
    """
    path = Path(path)
    _require_no_name(path)
    content = read_torch(path, wanted="a trained network, such as a run's seed.pt")
    if content.get("format") not in FORMATS:
        raise InputError(f"{path}: {_not_a_checkpoint(path, content)}")
    try:
        spec = from_dict(content["spec"], where=f"{path}, spec")
        usage = _usage(content["usage"])
        _require_classes(usage, spec, path)
        weights = _sound(content["weights"], spec, path)
        device, run = (str(content.get(key, "")) for key in ("device", "run"))
        from_parent = content.get("from_parent") is True
        checkpoint = Checkpoint(spec, weights, usage, device, run, from_parent)
        checkpoint.network()
    except InputError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise InputError(
            f"{path}: damaged checkpoint ({_short(error)}): take it from the run again"
        ) from error
    except RuntimeError as error:
        detail = str(error).splitlines()[-1]
        raise InputError(f"{path}: the weights do not fit its spec: {_short(detail)}") from error
    return checkpoint


def _short(text: object) -> str:
    """Shorten a message that may quote a file's content."""
    return textwrap.shorten(str(text), LONGEST_DETAIL, placeholder="...")


def _require_no_name(path: Path) -> None:
    if not path.exists() and str(path).partition("@")[0] in REFERENCES:
        raise InputError(
            f"{path} is a network's name, without weights: give a checkpoint, which nas import makes from "
            f"trained weights (nas import --arch {path} --weights FILE)"
        )


def _not_a_checkpoint(path: Path, content: dict[str, Any]) -> str:
    """Say why a torch file is not a checkpoint, and what to do with it."""
    spec_file = path.with_suffix(".yaml")
    if spec_file.is_file():  # as in the family of a NetAdapt run
        return (
            f"weights alone: convert them by nas import --arch {spec_file} --weights {path} "
            f"--like {spec_file.parent.parent / 'seed.pt'}"
        )
    if "format" not in content and content:
        return (
            "weights alone, or a checkpoint of another program: convert it by nas import --arch "
            f"NAME --weights {path}"
        )
    return "not a checkpoint of this version: give a run's seed.pt"


def _require_classes(usage: Usage, spec: ArchSpec, path: Path) -> None:
    if len(usage.classes) != spec.head.classes:
        raise InputError(
            f"{path}: damaged checkpoint ({len(usage.classes)} class names for {spec.head.classes} "
            "classes): take it from the run again"
        )


def _sound(weights: dict[str, torch.Tensor], spec: ArchSpec, path: Path) -> dict[str, torch.Tensor]:
    """Check the weights before the network is built, which a damaged spec might make huge.

    Raises:
        InputError: There are fewer values than the network has, or some are not finite.
    """
    stored = sum(stored_values(tensor) for tensor in weights.values())
    if stored < (wanted := count(spec).params):
        raise InputError(
            f"{path}: the weights do not fit its spec: {stored:,} values for {wanted:,} parameters"
        )
    try:
        return {name: converted(name, tensor, tensor) for name, tensor in weights.items()}
    except ValueError as error:
        raise InputError(f"{path}: {_short(error)}: give an intact checkpoint") from error


def _usage(data: dict[str, Any]) -> Usage:
    mean, std = ((float(r), float(g), float(b)) for r, g, b in (data["mean"], data["std"]))
    trained_px = int(data["trained_px"])
    if not all(map(math.isfinite, (*mean, *std))) or min(std) <= 0:
        raise ValueError(f"mean {mean}, std {std}")
    if not 1 <= trained_px <= LARGEST_PX:
        raise ValueError(f"trained_px {trained_px}")
    crop = float(data.get("crop", 1.0))
    if not LEAST_CROP <= crop <= 1:
        raise ValueError(f"crop {crop}")
    classes = tuple(map(str, data["classes"]))
    # Defaults for files of earlier versions: a black background, placeholders as names if they are the
    # numbers from 0, images held out by their position, and no crop.
    background = str(data.get("background", "black"))
    named = data.get("named", classes != placeholder_classes(len(classes)))
    rule = SplitRule.from_dict(data["rule"]) if "rule" in data else SplitRule(split_by="random")
    fit = data.get("fit", "crop")
    if fit not in get_args(Fit):
        raise ValueError(f"fit {fit!r}")
    return Usage(classes, trained_px, mean, std, background, bool(named), rule, crop, fit)
