"""`seed.pt`: a network with its weights, and what is needed to use it."""

from __future__ import annotations

import io
import math
import textwrap
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import torch

from nas.checkpoints.class_names import placeholder_classes
from nas.checkpoints.sound_weights import converted, stored_values
from nas.checkpoints.torch_files import read_torch
from nas.data.split_rule import BY_DEFAULT, SplitRule
from search_spaces import REFERENCES, ArchSpec, InputError, count
from search_spaces.network import Network, build
from search_spaces.spec import from_dict, to_dict

if TYPE_CHECKING:
    from nas.data.images import Dataset

FORMAT = "mobile-nas seed 1"
LONGEST_DETAIL = 200
LARGEST_PX = 1 << 14
"""Images that no network here is trained on; a larger size is damage."""


@dataclass(frozen=True)
class Usage:
    """How a network's input was prepared, and what its outputs mean.

    Attributes:
        classes: Names; a logit's position is an index into them.
        trained_px: Side of the images that the weights were trained on. The spec's resolution, which
            latency is measured at, may be another.
        mean: Per channel, of pixels in 0..1.
        std: Per channel, of pixels in 0..1.
        background: Colour that transparent pixels are laid on, as PIL names it.
        named: Whether `classes` are real names; invented ones are never matched with a folder's.
        rule: How images were held out from training, where the data did not say.
    """

    classes: tuple[str, ...]
    trained_px: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    background: str = "white"
    named: bool = True
    rule: SplitRule = BY_DEFAULT

    @classmethod
    def of(cls, data: Dataset) -> Self:
        """How a data set's images are prepared, for a network that is trained on them."""
        px, ground = data.resolution_px, data.background
        return cls(data.classes, px, data.mean, data.std, ground, rule=data.rule)


@dataclass(frozen=True)
class Checkpoint:
    """What a seed file holds.

    Attributes:
        spec: The network.
        weights: Its state dict.
        usage: What it takes, and what it answers.
        device: What it was searched for, as `--device` names it; empty where it was searched for none.
        run: Name of the run that the file is of; empty of all but those beside the run folders
            (`nas.engine.publishing`). What is made of the seed does not inherit it.
    """

    spec: ArchSpec
    weights: dict[str, torch.Tensor]
    usage: Usage
    device: str = ""
    run: str = ""

    def network(self) -> Network:
        """The network with its weights, in eval mode."""
        network = build(self.spec)
        network.load_state_dict(self.weights)
        return network.eval()

    def used_like(self, other: Checkpoint, *, px: int | None = None) -> Checkpoint:
        """This network, trained on the images that `other` was trained on.

        Args:
            other: A checkpoint.
            px: Side at which this one is deployed; the other's by default.

        Raises:
            InputError: It has another number of classes.
        """
        ours, theirs = len(self.usage.classes), len(other.usage.classes)
        if ours != theirs:
            raise InputError(
                f"the weights have {ours} classes and the seed that they are like has {theirs}: "
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
        """The same network with a freshly drawn classifier for other classes.

        Args:
            classes: Their names.
            named: Whether these are real; see `Usage`.
            generator: Of its weights; one seeded with 0 by default.
        """
        head = replace(self.spec.head, classes=len(classes))
        spec = replace(self.spec, head=head)
        fresh = build(spec, generator=generator).state_dict()
        last = _classifier_keys(fresh)
        weights = {name: fresh[name] if name in last else w for name, w in self.weights.items()}
        usage = replace(self.usage, classes=classes, named=named)
        return replace(self, spec=spec, weights=weights, usage=usage)


def _classifier_keys(weights: dict[str, torch.Tensor]) -> tuple[str, str]:
    """The last linear layer's weight and bias."""
    *_, weight, bias = weights
    return weight, bias


def checkpoint_bytes(seed: Checkpoint, *, run: str = "") -> bytes:
    """A seed as the content of a file: plain containers and tensors, nothing executable.

    Its entry `feed` describes the network's input to other programs (`nas.checkpoints.feeding`);
    `load_checkpoint` ignores it.

    Args:
        seed: What to keep.
        run: Name of the run that the file is of; `seed.run` is that of the file it was read from.
    """
    from nas.checkpoints.feeding import Feed  # which needs `Usage`

    buffer = io.BytesIO()
    content = {
        "format": FORMAT,
        "spec": to_dict(seed.spec),
        "weights": {name: tensor.cpu() for name, tensor in seed.weights.items()},
        "usage": asdict(seed.usage),
        "device": seed.device,
        "feed": Feed.of(seed).to_dict(),
    } | ({"run": run} if run else {})
    torch.save(content, buffer)
    return buffer.getvalue()


def load_checkpoint(path: Path | str) -> Checkpoint:
    """The seed in a file.

    Raises:
        InputError: No such file, not a seed, one that holds code, weights of another network, or weights
            that are not finite.
    """
    path = Path(path)
    _require_no_name(path)
    content = read_torch(path, wanted="a run's seed.pt")
    if content.get("format") != FORMAT:
        raise InputError(f"{path}: {_no_seed(path, content)}")
    try:
        spec = from_dict(content["spec"], where=f"{path}, spec")
        usage = _usage(content["usage"])
        _require_classes(usage, spec, path)
        weights = _sound(content["weights"], spec, path)
        device, run = (str(content.get(key, "")) for key in ("device", "run"))
        seed = Checkpoint(spec, weights, usage, device, run)
        seed.network()
    except InputError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise InputError(
            f"{path}: damaged seed file ({_short(error)}): take it from the run again"
        ) from error
    except RuntimeError as error:
        detail = str(error).splitlines()[-1]
        raise InputError(f"{path}: the weights are not its spec's: {_short(detail)}") from error
    return seed


def _short(text: object) -> str:
    """A message that may have a file's content in it, of any length."""
    return textwrap.shorten(str(text), LONGEST_DETAIL, placeholder="...")


def _require_no_name(path: Path) -> None:
    if not path.exists() and str(path).partition("@")[0] in REFERENCES:
        raise InputError(
            f"{path} is a network's name and has no weights: give a seed.pt, which nas import makes of "
            f"trained weights (nas import --arch {path} --weights FILE)"
        )


def _no_seed(path: Path, content: dict[str, Any]) -> str:
    """Why a torch file is not a seed, and what to do with it."""
    spec_file = path.with_suffix(".yaml")
    if spec_file.is_file():  # as in the family of a NetAdapt run
        return (
            f"weights alone: make a seed of them by nas import --arch {spec_file} --weights {path} "
            f"--like {spec_file.parent.parent / 'seed.pt'}"
        )
    if "format" not in content and content:
        return (
            "weights alone, or a checkpoint of another program: make a seed of it by nas import --arch "
            f"NAME --weights {path}"
        )
    return "not a seed file of this version: give a run's seed.pt"


def _require_classes(usage: Usage, spec: ArchSpec, path: Path) -> None:
    if len(usage.classes) != spec.head.classes:
        raise InputError(
            f"{path}: damaged seed file ({len(usage.classes)} class names for {spec.head.classes} "
            "classes): take it from the run again"
        )


def _sound(weights: dict[str, torch.Tensor], spec: ArchSpec, path: Path) -> dict[str, torch.Tensor]:
    """The weights, if they can be the spec's: checked before a network is made, which may be a huge one.

    Raises:
        InputError: There are fewer than the spec's network has, or some are not finite.
    """
    stored = sum(stored_values(tensor) for tensor in weights.values())
    if stored < (wanted := count(spec).params):
        raise InputError(
            f"{path}: the weights are not its spec's: {stored:,} values for {wanted:,} parameters"
        )
    try:
        return {name: converted(name, tensor, tensor) for name, tensor in weights.items()}
    except ValueError as error:
        raise InputError(f"{path}: {_short(error)}: give a seed whose weights are whole") from error


def _usage(data: dict[str, Any]) -> Usage:
    mean, std = ((float(r), float(g), float(b)) for r, g, b in (data["mean"], data["std"]))
    trained_px = int(data["trained_px"])
    if not all(map(math.isfinite, (*mean, *std))) or min(std) <= 0:
        raise ValueError(f"mean {mean}, std {std}")
    if not 1 <= trained_px <= LARGEST_PX:
        raise ValueError(f"trained_px {trained_px}")
    classes = tuple(map(str, data["classes"]))
    # Files of earlier versions do not say either: images were prepared on black, and names that are the
    # numbers from 0 on were invented; and images were held out by their place.
    background = str(data.get("background", "black"))
    named = data.get("named", classes != placeholder_classes(len(classes)))
    rule = SplitRule.from_dict(data["rule"]) if "rule" in data else SplitRule(split_by="random")
    return Usage(classes, trained_px, mean, std, background, bool(named), rule)
