"""Begin the networks of a space with the weights that they have in common with a network outside of it.

MnasNet's space has MobileNetV2's skeleton: the same stages, of the same strides. A layer is matched with
the trained network's at the same place, of the same `op` and role, in a block with the same kind of
nonlinearity. What the two share is copied as in `nas.searching.from_scratch.inheritance`. The classifier
is new, and so is whatever else has no counterpart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from statistics import fmean
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Self

from nas.engine.folder.records import Record
from nas.searching.from_scratch.inheritance import copied, layers
from search_spaces import ArchSpec, FactorizedSpace, InputError, SearchSpace, Tokens
from search_spaces.channels import class_tensors

if TYPE_CHECKING:
    import torch

    from nas.checkpoints.checkpoint import Checkpoint

KINDS = {"relu": "relu", "relu6": "relu"}
"""The kind of a nonlinearity; all others are smooth. Weights trained with one kind do not suit another."""


class Place(NamedTuple):
    """The place of a block, by which blocks of two networks are matched.

    Attributes:
        scale: By how much its stage's output is smaller than the image.
        number: Of its stage among those of this scale.
        position: In its stage.
        kind: Of its nonlinearity.
    """

    scale: int
    number: int
    position: int
    kind: str


class OverlapMetadata(Record):
    """What identifies the network: its fingerprint, and a digest of its weights."""

    fingerprint: str
    weights: str


@dataclass(frozen=True)
class Overlap:
    """A trained network outside of a space, with whose weights trials and finalists begin. Picklable.

    Attributes:
        space: The space that is searched.
        spec: The network.
        weights: Its state dict, without what scores classes.
    """

    space: FactorizedSpace
    spec: ArchSpec
    weights: dict[str, torch.Tensor]

    finalists_too: ClassVar[bool] = True

    @classmethod
    def of(cls, space: SearchSpace, parent: Checkpoint) -> Self:
        """Create from a checkpoint, whatever its classes and resolution.

        Raises:
            InputError: No layer of the space's networks has a counterpart in it, or the space cannot match
                layers.
        """
        if not isinstance(space, FactorizedSpace):
            raise InputError(
                f"space {space.name} does not say which layers match, so its networks take no weights from "
                "another: leave weights_from out"
            )
        scores = class_tensors(parent.spec)
        body = {name: tensor for name, tensor in parent.weights.items() if name not in scores}
        overlap = cls(space, parent.spec, body)
        ours = {
            (*Place(*at, position, _kind(act)), "mbconv" if op.startswith("mbconv") else op)
            for at, block in zip(_stages_of(space), space.blocks, strict=True)
            for position in range(max(block.depth))
            for act in block.act
            for op in block.op
        }
        theirs = zip(_places(parent.spec), parent.spec.blocks, strict=True)
        if ours.isdisjoint((*place, block.op) for place, block in theirs):
            raise InputError(
                f"space {space.name} has no layer in common with the parent: none is at the same scale, of "
                "the same op and with a like nonlinearity: give another --parent, or leave it out"
            )
        return overlap

    def state_dict(self, child: Tokens, *, generator: torch.Generator) -> dict[str, torch.Tensor]:
        """Return a candidate's initial weights.

        Args:
            child: The candidate's tokens.
            generator: Draws what the network lacks.
        """
        spec = self.space.decode(child)
        return copied(self.weights, self._layers, spec, self._layers_of(child), generator=generator)

    def share(self, child: Tokens) -> float:
        """Return which part of a candidate's weights is the network's, 0 to 1."""
        import torch

        from search_spaces.network import Network

        with torch.device("meta"):  # shapes only
            network = Network(self.space.decode(child))
        shapes = {name: tuple(tensor.shape) for name, tensor in network.named_parameters()}
        taken = 0
        for layer, prefix in self._layers_of(child).items():
            if layer not in self._layers:
                continue
            for name in (name for name in shapes if name.startswith(prefix)):
                theirs = self.weights.get(self._layers[layer] + name.removeprefix(prefix))
                if theirs is not None:
                    taken += prod(map(min, shapes[name], theirs.shape))
        return taken / sum(map(prod, shapes.values()))

    def mean_share(self, networks: Sequence[ArchSpec]) -> float:
        """Return the mean share of some networks of the space."""
        return fmean(self.share(self.space.encode(spec)) for spec in networks)

    def metadata(self) -> OverlapMetadata:
        """Return what identifies the network."""
        from nas.checkpoints.torch_files import weights_digest  # imports torch

        return OverlapMetadata(
            fingerprint=self.spec.fingerprint, weights=weights_digest(self.weights)
        )

    @property
    def _layers(self) -> Mapping[tuple[object, ...], str]:
        return _with_kinds(self.spec, layers(self.spec, _places(self.spec)))

    def _layers_of(self, child: Tokens) -> Mapping[tuple[object, ...], str]:
        spec, stages = self.space.decode(child), _stages_of(self.space)
        places = [
            Place(*stages[index], position, _kind(block.act))
            for (index, position), block in zip(self.space.places(child), spec.blocks, strict=True)
        ]
        return _with_kinds(spec, layers(spec, places))


def scales(strides: Sequence[int], *, stem: int) -> list[tuple[int, int]]:
    """Return each stage's scale, and its number among the stages of this scale.

    >>> scales((1, 2, 2, 2, 1, 2, 1), stem=2)  # MobileNetV2's
    [(2, 0), (4, 0), (8, 0), (16, 0), (16, 1), (32, 0), (32, 1)]
    """
    found: list[tuple[int, int]] = []
    scale = stem
    for stride in strides:
        scale *= stride
        found.append((scale, sum(other == scale for other, _ in found)))
    return found


def _stages_of(space: FactorizedSpace) -> list[tuple[int, int]]:
    return scales([block.stride for block in space.blocks], stem=space.stem.stride)


def _places(spec: ArchSpec) -> list[Place]:
    """Return the place of each block; one of stride 1 and unchanged width continues a stage."""
    firsts = [
        index
        for index, block in enumerate(spec.blocks)
        if index == 0 or block.stride > 1 or block.out != spec.blocks[index - 1].out
    ]
    stages = scales([spec.blocks[first].stride for first in firsts], stem=spec.stem.stride)
    ends = [*firsts[1:], len(spec.blocks)]
    return [
        Place(*at, index - first, _kind(spec.blocks[index].act))
        for at, first, end in zip(stages, firsts, ends, strict=True)
        for index in range(first, end)
    ]


def _kind(act: str) -> str:
    return KINDS.get(act, "smooth")


def _with_kinds(
    spec: ArchSpec, named: Mapping[tuple[object, ...], str]
) -> dict[tuple[object, ...], str]:
    """Tell stems and heads of different nonlinearities apart, as their places do for blocks."""
    kinds = {"stem": (_kind(spec.stem.act),), "head": (_kind(spec.head.act),)}
    return {(*layer, *kinds.get(str(layer[0]), ())): prefix for layer, prefix in named.items()}
