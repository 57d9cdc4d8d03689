"""What NetAdapt reduces, one at a time: the paper's widths (arXiv 1905.02244, section 4.2), and depth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from netadapt.narrowing.widths import Widths
from search_spaces.channels import out_spaces
from search_spaces.heads.specs import DenseHead, HeadSpec, SSDLiteHead
from search_spaces.spec import ArchSpec

Kind = Literal[
    "expansion",
    "bottleneck",
    "head conv",
    "head hidden",
    "head filters",
    "extra inner",
    "extra out",
    "depth",
]


@dataclass(frozen=True)
class Group:
    """One width and all layers that share it, or the depth of a stage.

    Attributes:
        kind: `expansion` of one block; `bottleneck`, the output of one block or of blocks tied by
            residuals; the head's convolution, hidden layer or filters; one of the two widths of a
            detector's extra layer; `depth` of a stage.
        blocks: Indices of the blocks whose expansion or output it is, or of the stage; consecutive.
        width: Its channels; the number of blocks of a depth.
        stem: Whether the stem's output belongs to it.
        extra: Index of the extra layer.
    """

    kind: Kind
    blocks: tuple[int, ...]
    width: int
    stem: bool = False
    extra: int = 0

    @property
    def name(self) -> str:
        """The group in words.

        >>> Group("bottleneck", (4, 5, 6), 40).name, Group("bottleneck", (0,), 16, stem=True).name
        ('blocks 4-6 bottleneck', 'stem and block 0 bottleneck')
        """
        if self.kind.startswith("extra"):
            return self.kind.replace("extra", f"extra {self.extra}")
        places = ["stem"] if self.stem else []
        if len(self.blocks) == 1:
            places.append(f"block {self.blocks[0]}")
        elif self.blocks:
            places.append(f"blocks {self.blocks[0]}-{self.blocks[-1]}")
        return f"{' and '.join(places)} {self.kind}".lstrip()

    @property
    def least(self) -> int:
        """The smallest width possible. A stage keeps its first block, unless it begins with the stem."""
        return 0 if self.kind == "depth" and self.stem else 1

    def smaller(self, widths: Widths) -> range:
        """Return the widths that it may be reduced to, ascending; `widths` do not restrict depth.

        >>> list(Group("depth", (3, 4, 5), 3).smaller(Widths()))
        [1, 2]
        """
        if self.kind == "depth":
            return range(self.least, self.width)
        return widths.below(self.width)


def width_groups(spec: ArchSpec, *, include_stem_and_head: bool = False) -> list[Group]:
    """List the paper's two kinds of group: every expansion, then every bottleneck.

    A separable convolution has no expansion: its depthwise layer is as wide as its input.

    >>> from search_spaces.references import mobilenet_v3_large
    >>> groups = width_groups(mobilenet_v3_large())
    >>> [(g.name, g.width) for g in groups if g.kind == "bottleneck"][:3]
    [('stem and block 0 bottleneck', 16), ('blocks 1-2 bottleneck', 24), ('blocks 3-5 bottleneck', 40)]

    Args:
        spec: The network.
        include_stem_and_head: Also list what the paper leaves alone: a stem that no residual ties to a
            block, and a classifier's convolution and hidden layer. The widths of other heads are always
            listed.
    """
    groups = [
        Group("expansion", (index,), block.expand)
        for index, block in enumerate(spec.blocks)
        if block.expand
    ]
    groups += [group for group in _bottlenecks(spec) if group.blocks or include_stem_and_head]
    if include_stem_and_head or not isinstance(spec.head, HeadSpec):
        groups += _head_groups(spec.head)
    return groups


def _head_groups(head: HeadSpec | DenseHead) -> Iterator[Group]:
    if head.conv:
        yield Group("head conv", (), head.conv)
    match head:
        case HeadSpec():
            if head.hidden:
                yield Group("head hidden", (), head.hidden)
        case SSDLiteHead():
            for index, extra in enumerate(head.extras):
                yield Group("extra inner", (), extra.inner, extra=index)
                yield Group("extra out", (), extra.out, extra=index)
        case _:
            yield Group("head filters", (), head.filters)


def _bottlenecks(spec: ArchSpec) -> Iterator[Group]:
    places = enumerate(zip(out_spaces(spec), spec.widths(), strict=True), start=-1)
    for _, members in groupby(places, key=lambda place: place[1][0]):
        tied = list(members)  # (block, (space, width)); the stem is block -1
        blocks = tuple(block for block, _ in tied if block >= 0)
        yield Group("bottleneck", blocks, tied[0][1][1], stem=tied[0][0] < 0)
