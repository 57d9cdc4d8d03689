"""The sub-networks of a trained network: fewer layers, narrower widths, other kernels, smaller images.

A *stage* is a run of layers that share one output width: the layer that sets it, and the residual layers
that add to it. MobileNetV2 has seven, and its stem; in a network without residuals every layer is one. Each
stage is decided on its own, as in MnasNet's space, and every choice leaves the parent's weights usable
(`netadapt.sub_networks`): a smaller kernel is the center of the parent's, and the parent's is the center of
a larger one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from math import prod
from typing import Annotated, Any, NamedTuple, Self

from pydantic import BaseModel, Field, model_validator

from search_spaces.channels import excited_channels, stage_blocks
from search_spaces.errors import InputError
from search_spaces.field_types import Channels
from search_spaces.heads.specs import DenseHead, HeadSpec, conv_is_last
from search_spaces.heads.transforms import with_own_widths
from search_spaces.space import Tokens
from search_spaces.spaces.block_choices import MODEL
from search_spaces.spec import ArchSpec, BlockSpec
from search_spaces.squeeze_rules import SqueezeRule, squeeze_rules
from search_spaces.widths import make_divisible

DIVISOR = 8
"""Widths are multiples of it, or the parent's own."""

HEAD_LAYERS = "head layers"
"""The decision on the widths of a dense head's own layers."""

Multiplier = Annotated[float, Field(gt=0, le=1)]


class Stage(NamedTuple):
    """A stage of the parent.

    Attributes:
        width: Of its output.
        rules: The rule of each block's squeeze-and-excite.
        blocks: Its blocks; those after the first `required` may be dropped, the last one first.
        required: 1 if its first block sets the width; 0 in the stem's stage, whose blocks are all residual.
    """

    width: int
    rules: tuple[SqueezeRule | None, ...]
    blocks: tuple[BlockSpec, ...]
    required: int

    @property
    def kernel(self) -> int:
        """The side of its largest kernel; 0 without blocks."""
        return max((block.kernel for block in self.blocks), default=0)


class Decision(NamedTuple):
    """What one token decides: a field of a stage, or of the whole network (stage None)."""

    stage: int | None
    field: str
    choices: tuple[Any, ...]

    @property
    def name(self) -> str:
        """The name that people read."""
        return self.field if self.stage is None else f"stage {self.stage} {self.field}"


Chosen = dict[tuple[int | None, str], Any]


class ElasticSpace(BaseModel):
    """The sub-networks of a parent, decided stage by stage; the parent is one of them.

    Decisions, in the order of the tokens: the resolution; the width of the head's convolution; that of the
    further layers of a head for boxes or masks, a multiple of them all; and for each stage, the stem's
    first, as far as there is a choice:

    - width, a multiple of the parent's: of the stage's output (the stem's too);
    - depth: its last residual layers are dropped;
    - expansion, a multiple of the parent's expanded channels, whatever the stage's width;
    - kernel: the parent's, smaller ones, which are its center, or larger ones, whose center it is. A side
      above the stage's largest kernel goes to all blocks of the stage. A side below it goes to the blocks
      whose own is larger. With the largest itself each block keeps its own;
    - squeeze-and-excite: kept or dropped; where it is kept its width follows the parent's rule.

    A multiplier of all widths at once, as in the MobileNet papers, is in the space for each value that is
    in both `widths` and `expansions` (`uniform`).

    Attributes:
        name: The space's name.
        parent: The network whose sub-networks these are.
        resolutions: Sides of the input in pixels; the parent's own among them, or not.
        widths: Multipliers of a stage's width.
        expansions: Multipliers of expanded channels.
        heads: Multipliers of the width of the head's convolution; `widths` where the classifier does not
            directly follow it.
        kernels: Sides of other kernels than the parent's. Stages of 1x1 kernels keep them.
        squeezes: Whether squeeze-and-excite may be dropped.
    """

    model_config = MODEL

    name: Annotated[str, Field(min_length=1)]
    parent: ArchSpec
    resolutions: Annotated[tuple[Channels, ...], Field(min_length=1)]
    widths: Annotated[tuple[Multiplier, ...], Field(min_length=1)] = (0.5, 0.625, 0.75, 0.875, 1.0)
    expansions: Annotated[tuple[Multiplier, ...], Field(min_length=1)] = (
        0.5,
        0.625,
        0.75,
        0.875,
        1.0,
    )
    heads: Annotated[tuple[Multiplier, ...], Field(min_length=1)] = (1.0,)
    kernels: tuple[Channels, ...] = (3,)
    squeezes: bool = True

    @classmethod
    def of(cls, parent: ArchSpec, *, classes: int, resolutions: Sequence[int]) -> Self:
        """Return the sub-networks of a network with another number of classes.

        >>> from search_spaces.references import mobilenet_v2
        >>> space = ElasticSpace.of(mobilenet_v2(), classes=12, resolutions=(96, 128))
        >>> space.parent.resolution, space.parent.head.classes
        (128, 12)

        Args:
            parent: The network.
            classes: Number of classes.
            resolutions: Sides of the input in pixels.

        Raises:
            ValidationError: A resolution does not fit the network.
        """
        head = replace(parent.head, classes=classes)
        largest = max(resolutions, default=parent.resolution)
        spec = replace(parent, head=head, resolution=largest)
        sides = tuple(sorted(resolutions, reverse=True))
        return cls(name="elastic", parent=spec, resolutions=sides)

    @model_validator(mode="after")
    def _check(self) -> Self:
        for field in ("resolutions", "widths", "expansions", "heads", "kernels"):
            values = getattr(self, field)
            if len(set(values)) != len(values):
                raise ValueError(f"{field} must be distinct, got {list(values)}")
        for field in ("widths", "expansions", "heads"):
            if 1.0 not in getattr(self, field):
                raise ValueError(
                    f"{field} must have 1, the parent's own, got {list(getattr(self, field))}"
                )
        if any(kernel % 2 == 0 for kernel in self.kernels):
            raise ValueError(f"kernels must be odd, got {list(self.kernels)}")
        stride = total_stride(self.parent)
        for side in self.resolutions:
            if side % stride:
                near = [at for at in (side - side % stride, side - side % stride + stride) if at]
                raise ValueError(
                    f"resolution {side} is not a multiple of the network's stride, {stride}, so the last "
                    f"feature maps are padded for nothing: give {' or '.join(map(str, near))}"
                )
        if not self.decisions:
            raise ValueError("there is one choice for everything: nothing to search")
        return self

    @cached_property
    def stages(self) -> tuple[Stage, ...]:
        """The parent's stages; the first is the stem's, which may have no block."""
        blocks, rules, widths = self.parent.blocks, squeeze_rules(self.parent), self.parent.widths()
        return tuple(
            Stage(
                widths[indices[0] + 1] if number else widths[0],
                tuple(rules[index] for index in indices),
                tuple(blocks[index] for index in indices),
                required=int(number > 0),
            )
            for number, indices in enumerate(stage_blocks(self.parent))
        )

    @cached_property
    def decisions(self) -> tuple[Decision, ...]:
        """What each token decides."""
        return tuple(one for one in self._candidates() if len(one.choices) > 1)

    def _candidates(self) -> Iterator[Decision]:
        yield Decision(None, "resolution", self.resolutions)
        if self.parent.head.conv:
            # The papers scale every layer but the last before the classifier.
            yield Decision(
                None, "head", self.heads if conv_is_last(self.parent.head) else self.widths
            )
        if not isinstance(self.parent.head, HeadSpec):
            yield Decision(None, HEAD_LAYERS, self.widths)
        for index, stage in enumerate(self.stages):
            blocks = stage.blocks
            yield Decision(index, "width", self.widths)
            yield Decision(index, "depth", tuple(range(stage.required, len(blocks) + 1)))
            if any(block.expand for block in blocks):
                yield Decision(index, "expansion", self.expansions)
            if stage.kernel > 1:
                yield Decision(index, "kernel", tuple(sorted({*self.kernels, stage.kernel})))
            if self.squeezes and any(block.se for block in blocks):
                yield Decision(index, "squeeze", (False, True))

    @cached_property
    def arities(self) -> tuple[int, ...]:
        """Number of choices of each decision."""
        return tuple(len(one.choices) for one in self.decisions)

    @property
    def labels(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Each decision's name and its choices' names: `("stage 1 depth", ("1", "2"))`."""
        return tuple((one.name, tuple(map(str, one.choices))) for one in self.decisions)

    @property
    def size(self) -> int:
        """Number of token sequences (several may decode to the same network)."""
        return prod(self.arities)

    def decode(self, tokens: Tokens) -> ArchSpec:
        """Build the spec of a token sequence.

        >>> from search_spaces.references import mobilenet_v2
        >>> space = ElasticSpace(name="v2", parent=mobilenet_v2(), resolutions=(128, 224))
        >>> smallest = space.decode((0,) * len(space.arities))
        >>> smallest.resolution, len(smallest.blocks), smallest.widths()[-1]
        (128, 7, 160)

        Raises:
            InputError: Wrong number of tokens, or one out of range.
        """
        if len(tokens) != len(self.arities):
            raise InputError(
                f"space {self.name} takes {len(self.arities)} tokens, got {len(tokens)}"
            )
        chosen: Chosen = {}
        for one, token in zip(self.decisions, tokens, strict=True):
            if not 0 <= token < len(one.choices):
                raise InputError(
                    f"{one.name}: token must be in 0..{len(one.choices) - 1}, got {token}"
                )
            chosen[one.stage, one.field] = one.choices[token]
        return self._spec(chosen)

    def encode(self, spec: ArchSpec) -> Tokens:
        """Return the first token sequence, in lexicographic order, that decodes to `spec`.

        Raises:
            InputError: The network is not in the space; the message names the part that does not fit.
        """
        layers = [tuple(spec.blocks[index] for index in indices) for indices in stage_blocks(spec)]
        if len(layers) != len(self.stages):
            raise InputError(
                f"not in space {self.name}: it has {len(layers)} stages, the parent {len(self.stages)}"
            )
        tokens = []
        for one in self.decisions:
            found = self._token(one, spec, layers)
            if found is None:
                raise InputError(
                    f"not in space {self.name}: {one.name} is not one of {list(one.choices)}"
                )
            tokens.append(found)
        if self.decode(tuple(tokens)) != spec:
            raise InputError(
                f"not in space {self.name}: it differs from the parent in what is not searched"
            )
        return tuple(tokens)

    def _token(
        self, one: Decision, spec: ArchSpec, layers: list[tuple[BlockSpec, ...]]
    ) -> int | None:
        """Return the first choice of a decision with which the spec agrees."""

        def agrees(choice: Any) -> bool:
            if one.stage is None:
                if one.field == "resolution":
                    return bool(spec.resolution == choice)
                if one.field == HEAD_LAYERS:
                    head = replace(spec.head, conv=self.parent.head.conv)
                    return bool(head == narrower_layers(self.parent.head, choice))
                return bool(spec.head.conv == narrower(self.parent.head.conv, choice))
            stage, blocks = self.stages[one.stage], layers[one.stage]
            pairs = list(zip(stage.blocks, blocks, strict=False))
            match one.field:
                case "width":
                    ours = spec.stem.out if one.stage == 0 else blocks[0].out
                    return bool(ours == narrower(stage.width, choice))
                case "depth":
                    return bool(len(blocks) == choice)
                case "expansion":
                    return all(
                        ours.expand == narrower(theirs.expand, choice) for theirs, ours in pairs
                    )
                case "kernel":
                    return all(
                        ours.kernel == chosen_kernel(theirs.kernel, choice, largest=stage.kernel)
                        for theirs, ours in pairs
                    )
                case _:
                    return all(
                        (ours.se > 0) == (theirs.se > 0 and choice) for theirs, ours in pairs
                    )

        return next((token for token, choice in enumerate(one.choices) if agrees(choice)), None)

    def uniform(self, multiplier: float, resolution: int) -> Tokens:
        """Return the tokens of the parent at one multiplier of its widths, and a resolution.

        Raises:
            InputError: The space lacks the multiplier or the resolution.
        """
        for name, value, known in (
            ("resolution", resolution, self.resolutions),
            ("width", multiplier, self.widths),
            ("expansion", multiplier, self.expansions),
        ):
            if value not in known:
                raise InputError(f"space {self.name} has no {name} {value:g}, but {list(known)}")
        wanted: dict[str, Any] = {
            "resolution": resolution,
            "head": 1.0 if conv_is_last(self.parent.head) else multiplier,
            HEAD_LAYERS: multiplier,
            "width": multiplier,
            "expansion": multiplier,
        }
        tokens = [
            one.choices.index(wanted.get(one.field, self._own(one))) for one in self.decisions
        ]
        return self.encode(self.decode(tuple(tokens)))

    def _own(self, one: Decision) -> Any:
        """Return the parent's choice of a stage's depth, kernel or squeeze-and-excite."""
        if one.field == "kernel":
            assert one.stage is not None
            return self.stages[one.stage].kernel
        return one.choices[-1]

    @property
    def grows(self) -> bool:
        """Whether it has networks larger than the parent, by their kernels."""
        return any(
            one.field == "kernel" and one.choices[-1] > self._own(one) for one in self.decisions
        )

    def _spec(self, chosen: Chosen) -> ArchSpec:
        parent = self.parent
        stem = parent.stem
        blocks: list[BlockSpec] = []
        for index, stage in enumerate(self.stages):
            width = narrower(stage.width, chosen.get((index, "width"), 1.0))
            if index == 0:
                stem = replace(stem, out=width)
            for number in range(chosen.get((index, "depth"), len(stage.blocks))):
                cin = blocks[-1].out if blocks else stem.out
                blocks.append(self._block(index, number, chosen, cin=cin, width=width))
        conv = narrower(parent.head.conv, chosen.get((None, "head"), 1.0))
        head = narrower_layers(parent.head, chosen.get((None, HEAD_LAYERS), 1.0))
        return replace(
            parent,
            resolution=chosen.get((None, "resolution"), self.resolutions[0]),
            stem=stem,
            blocks=tuple(blocks),
            head=replace(head, conv=conv),
        )

    def _block(self, index: int, number: int, chosen: Chosen, *, cin: int, width: int) -> BlockSpec:
        """Return a block of a stage, as chosen."""
        stage = self.stages[index]
        whole, rule = stage.blocks[number], stage.rules[number]
        expand = narrower(whole.expand, chosen.get((index, "expansion"), 1.0))
        choice = chosen.get((index, "kernel"), stage.kernel)
        kernel = chosen_kernel(whole.kernel, choice, largest=stage.kernel)
        block = replace(whole, out=width, expand=expand, kernel=kernel)
        if rule is None:
            return block
        if not chosen.get((index, "squeeze"), True):
            return replace(block, se=0, gate="none")
        return replace(
            block, se=rule(cin, excited_channels(block, cin=cin, expand=expand, out=width))
        )


def narrower(width: int, multiplier: float) -> int:
    """Multiply a width of the parent and round it as the papers do, to at most the parent's.

    >>> narrower(24, 0.75), narrower(144, 0.5), narrower(18, 1.0), narrower(0, 0.5)
    (24, 72, 18, 0)
    """
    if multiplier == 1 or width == 0:
        return width
    return min(width, max(DIVISOR, make_divisible(width * multiplier, DIVISOR)))


def narrower_layers(head: HeadSpec | DenseHead, multiplier: float) -> HeadSpec | DenseHead:
    """Multiply the widths of what only a head for boxes or masks has; see `narrower`."""
    if multiplier == 1 or isinstance(head, HeadSpec):
        return head
    return with_own_widths(head, lambda width: narrower(width, multiplier))


def chosen_kernel(own: int, choice: int, *, largest: int) -> int:
    """Return the side of a block's kernel in a stage for which one was chosen.

    Args:
        own: The block's in the parent.
        choice: The stage's.
        largest: The largest in the parent's stage.

    >>> [chosen_kernel(own, 7, largest=5) for own in (3, 5)]  # larger: of all blocks
    [7, 7]
    >>> [chosen_kernel(own, 5, largest=5) for own in (3, 5)]
    [3, 5]
    >>> [chosen_kernel(own, 3, largest=5) for own in (3, 5)]
    [3, 3]
    """
    return choice if choice > largest else min(own, choice)


def total_stride(spec: ArchSpec) -> int:
    """Return by how much the network divides its input's side.

    >>> from search_spaces.references import mobilenet_v2
    >>> total_stride(mobilenet_v2())
    32
    """
    return spec.stem.stride * prod(block.stride for block in spec.blocks)
