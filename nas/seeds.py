"""`seed.pt`: a network with its weights, and what is needed to use it."""

from __future__ import annotations

import io
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from nas.torch_files import read_torch
from search_spaces import ArchSpec, InputError
from search_spaces.network import Network, build
from search_spaces.shell import quoted
from search_spaces.spec import from_dict, to_dict

FORMAT = "mobile-nas seed 1"


@dataclass(frozen=True)
class Usage:
    """How a network's input was prepared, and what its outputs mean.

    Attributes:
        classes: Names; a logit's position is an index into them.
        trained_px: Side of the images that the weights were trained on. The spec's resolution, which
            latency is measured at, may be another.
        mean: Per channel, of pixels in 0..1.
        std: Per channel, of pixels in 0..1.
    """

    classes: tuple[str, ...]
    trained_px: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


@dataclass(frozen=True)
class Seed:
    """What a seed file holds.

    Attributes:
        spec: The network.
        weights: Its state dict.
        usage: What it takes, and what it answers.
        device: What it was searched for, as `--device` names it; empty where it was searched for none.
        run: Name of the run that the file is of; empty of all but those beside the run folders
            (`nas.publishing`). What is made of the seed does not inherit it.
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

    def used_like(self, other: Seed) -> Seed:
        """This network, trained on the images that `other` was trained on.

        Raises:
            InputError: It has another number of classes.
        """
        ours, theirs = len(self.usage.classes), len(other.usage.classes)
        if ours != theirs:
            raise InputError(
                f"the weights have {ours} classes and the seed that they are like has {theirs}: "
                "give one that was trained on the same images"
            )
        return replace(self, usage=other.usage)

    def with_classes(
        self, classes: tuple[str, ...], *, generator: torch.Generator | None = None
    ) -> Seed:
        """The same network with a freshly drawn classifier for other classes.

        Args:
            classes: Their names.
            generator: Of its weights; one seeded with 0 by default.
        """
        head = replace(self.spec.head, classes=len(classes))
        spec = replace(self.spec, head=head)
        fresh = build(spec, generator=generator).state_dict()
        last = _classifier_keys(fresh)
        weights = {name: fresh[name] if name in last else w for name, w in self.weights.items()}
        usage = replace(self.usage, classes=classes)
        return replace(self, spec=spec, weights=weights, usage=usage)


def _classifier_keys(weights: dict[str, torch.Tensor]) -> tuple[str, str]:
    """The last linear layer's weight and bias."""
    *_, weight, bias = weights
    return weight, bias


def seed_bytes(seed: Seed, *, run: str = "") -> bytes:
    """A seed as the content of a file: plain containers and tensors, nothing executable.

    Args:
        seed: What to keep.
        run: Name of the run that the file is of; `seed.run` is that of the file it was read from.
    """
    buffer = io.BytesIO()
    content = {
        "format": FORMAT,
        "spec": to_dict(seed.spec),
        "weights": {name: tensor.cpu() for name, tensor in seed.weights.items()},
        "usage": asdict(seed.usage),
        "device": seed.device,
    } | ({"run": run} if run else {})
    torch.save(content, buffer)
    return buffer.getvalue()


def load_seed(path: Path | str) -> Seed:
    """The seed in a file.

    Raises:
        InputError: No such file, not a seed, one that holds code, or weights of another network.
    """
    content = read_torch(Path(path), wanted="a run's seed.pt")
    if content.get("format") != FORMAT:
        spec_file = Path(path).with_suffix(".yaml")
        if spec_file.is_file():  # as in the family of a NetAdapt run
            raise InputError(
                f"{path}: weights alone: make a seed of them by nas import --arch {quoted(spec_file)} "
                f"--weights {quoted(path)} --like {quoted(spec_file.parent.parent / 'seed.pt')}"
            )
        raise InputError(f"{path}: not a seed file of this version: give a run's seed.pt")
    try:
        spec = from_dict(content["spec"], where=f"{path}, spec")
        usage = _usage(content["usage"])
        device, run = (str(content.get(key, "")) for key in ("device", "run"))
        seed = Seed(spec, content["weights"], usage, device, run)
        seed.network()
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"{path}: damaged seed file ({error}): take it from the run again"
        ) from error
    except RuntimeError as error:
        detail = str(error).splitlines()[-1].strip()
        raise InputError(f"{path}: the weights are not its spec's: {detail}") from error
    return seed


def _usage(data: dict[str, Any]) -> Usage:
    mean, std = ((float(r), float(g), float(b)) for r, g, b in (data["mean"], data["std"]))
    return Usage(tuple(map(str, data["classes"])), int(data["trained_px"]), mean, std)
