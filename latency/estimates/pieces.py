"""The pieces of a network that a lookup table times: stem, blocks and head, or the parts of a head.

A piece is timed as the difference of two small networks, one with it and one without. It is thus timed in
context (fused with its neighbours, without its own input and output), on any device that runs networks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from latency.estimates.head_pieces import THIN, Low, head_parts, strided_body
from search_spaces.cost import layers_by_stage
from search_spaces.field_types import Padding
from search_spaces.heads.specs import LRASPPHead, RASPPHead
from search_spaces.spec import ArchSpec, BlockSpec, HeadSpec, StemSpec


@dataclass(frozen=True)
class Piece:
    """A part of a network with its input size.

    Attributes:
        part: Stem, block, or head without what can be timed as a block.
        cin: Input channels.
        px: Side of the input in pixels.
        padding: Of the network; it makes no difference where the stride is 1.
        low: The map of stride 8 that LR-ASPP's head reads.
    """

    part: StemSpec | BlockSpec | HeadSpec | LRASPPHead | RASPPHead
    cin: int
    px: int
    padding: Padding = "torch"
    low: Low | None = None

    @property
    def key(self) -> str:
        r"""The piece in one line; equal for pieces that take the same time.

        >>> from search_spaces.references import mobilenet_v3_small
        >>> stem, first, *_, head = pieces(mobilenet_v3_small(classes=10))
        >>> print(stem.key, first.key, head.key, sep="\n")
        stem 3x3 s2 3->16 hswish @224
        sepconv 3x3 s2 16->16 se8 hsigmoid relu linear @112
        head 96->576->1024->10 hswish @7
        """
        part, at = self.part, f"@{self.px}"
        strided = isinstance(part, StemSpec | BlockSpec) and part.stride > 1
        if self.padding != "torch" and strided:
            at = f"{self.padding} {at}"
        if isinstance(part, StemSpec):
            k, s = part.kernel, part.stride
            return f"stem {k}x{k} s{s} {self.cin}->{part.out} {part.act} {at}"
        if isinstance(part, HeadSpec):
            widths = (self.cin, part.conv, part.hidden, part.classes)
            # Without a layer in between there is no nonlinearity.
            act = [part.act] if part.conv or part.hidden else []
            return " ".join(["head", "->".join(str(w) for w in widths if w), *act, at])
        if isinstance(part, LRASPPHead | RASPPHead):
            return f"{part.kind} {self.cin}->{part.filters}->{part.classes}{self._gate} {at}"
        words = [f"{part.op} {part.kernel}x{part.kernel} s{part.stride} {self.cin}->"]
        words[0] += f"{part.expand}->{part.out}" if part.expand else str(part.out)
        words += [f"se{part.se} {part.gate}"] if part.se else []
        words += [f"d{part.dilation}"] if part.dilation > 1 else []
        words += [part.act, *(["linear"] if part.linear else [])]
        words += [part.skip] if part.skip != "none" else []
        return " ".join([*words, at])

    @property
    def _gate(self) -> str:
        """What is in LR-ASPP's key besides: its gate, and the map of stride 8."""
        part, low = self.part, self.low
        if not isinstance(part, LRASPPHead) or low is None:
            return ""
        rows, columns = part.pool_stride
        pool = f" pool{part.pool} s{rows}x{columns}" if part.pool else ""
        return f" {part.gate}{pool} {low.channels}@{low.px}"

    def probe(self) -> ArchSpec:
        """Return the small network with the piece."""
        part, around = self.part, self.without()
        if isinstance(part, StemSpec):
            return replace(around, resolution=self.px, stem=part)
        if isinstance(part, BlockSpec):
            return replace(around, blocks=(part,))
        return replace(around, head=part)

    def without(self) -> ArchSpec:
        """Return the small network without it: a 1x1 convolution of the image, the pool, one output.

        Before LR-ASPP there are several, for the strides.
        """
        channels = THIN if isinstance(self.part, StemSpec) else self.cin
        px = 1 if isinstance(self.part, StemSpec) else self.px
        stem = StemSpec(out=channels, kernel=1, stride=1, act="relu")
        blocks: tuple[BlockSpec, ...] = ()
        if self.low is not None:
            px = 8 * self.low.px
            stem, blocks = strided_body(self.cin, self.px, self.low)
        return ArchSpec(
            resolution=px,
            bn_eps=1e-3,
            stem=stem,
            blocks=blocks,
            head=HeadSpec(conv=0, hidden=0, act="relu", dropout=0.0, classes=1),
            padding=self.padding,
        )


def pieces(spec: ArchSpec) -> Iterator[Piece]:
    """Yield the pieces of stem, blocks and head of a network in order, repeated ones included."""
    (_, (stem,)), *blocks, _ = layers_by_stage(spec)
    yield Piece(spec.stem, stem.cin, spec.resolution, spec.padding)
    cin, px = spec.stem.out, stem.out_px
    for block, (_, layers) in zip(spec.blocks, blocks, strict=True):
        yield Piece(block, cin, layers[0].in_px, spec.padding)
        cin, px = block.out, -(-px // block.stride)
    if isinstance(spec.head, HeadSpec):
        yield Piece(spec.head, cin, px, spec.padding)
        return
    for part in head_parts(spec, cin, px):
        yield Piece(part.part, part.cin, part.px, low=part.low)
