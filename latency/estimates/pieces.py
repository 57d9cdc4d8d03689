"""The pieces of a network that a lookup table times: stem, blocks and head.

A piece is timed as the difference of two small networks, one with it and one without. It is thus timed in
context (fused with its neighbours, without its own input and output), on any device that runs networks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from latency.measuring.source import MeasurementError
from search_spaces.cost import layers_by_stage
from search_spaces.field_types import Padding
from search_spaces.spec import ArchSpec, BlockSpec, HeadSpec, StemSpec


@dataclass(frozen=True)
class Piece:
    """A part of a network with its input size.

    Attributes:
        part: Stem, block or head.
        cin: Input channels.
        px: Side of the input in pixels.
        padding: Of the network; it makes no difference where the stride is 1.
    """

    part: StemSpec | BlockSpec | HeadSpec
    cin: int
    px: int
    padding: Padding = "torch"

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
        if self.padding != "torch" and not isinstance(part, HeadSpec) and part.stride > 1:
            at = f"{self.padding} {at}"
        if isinstance(part, StemSpec):
            k, s = part.kernel, part.stride
            return f"stem {k}x{k} s{s} {self.cin}->{part.out} {part.act} {at}"
        if isinstance(part, HeadSpec):
            widths = (self.cin, part.conv, part.hidden, part.classes)
            # Without a layer in between there is no nonlinearity.
            act = [part.act] if part.conv or part.hidden else []
            return " ".join(["head", "->".join(str(w) for w in widths if w), *act, at])
        words = [f"{part.op} {part.kernel}x{part.kernel} s{part.stride} {self.cin}->"]
        words[0] += f"{part.expand}->{part.out}" if part.expand else str(part.out)
        words += [f"se{part.se} {part.gate}"] if part.se else []
        words += [f"d{part.dilation}"] if part.dilation > 1 else []
        words += [part.act, *(["linear"] if part.linear else [])]
        words += [part.skip] if part.skip != "none" else []
        return " ".join([*words, at])

    def probe(self) -> ArchSpec:
        """Return the small network with the piece."""
        part, around = self.part, self.without()
        if isinstance(part, StemSpec):
            return replace(around, resolution=self.px, stem=part)
        if isinstance(part, HeadSpec):
            return replace(around, head=part)
        return replace(around, blocks=(part,))

    def without(self) -> ArchSpec:
        """Return the small network without it: a 1x1 convolution of the image, the pool, one output."""
        channels = 8 if isinstance(self.part, StemSpec) else self.cin
        px = 1 if isinstance(self.part, StemSpec) else self.px
        return ArchSpec(
            resolution=px,
            bn_eps=1e-3,
            stem=StemSpec(out=channels, kernel=1, stride=1, act="relu"),
            blocks=(),
            head=HeadSpec(conv=0, hidden=0, act="relu", dropout=0.0, classes=1),
            padding=self.padding,
        )


def pieces(spec: ArchSpec) -> Iterator[Piece]:
    """Yield stem, blocks and head of a network in order, repeated pieces included.

    Raises:
        MeasurementError: The network is no classifier.
    """
    if not isinstance(spec.head, HeadSpec):
        raise MeasurementError(
            f"lookup tables have no entries for {spec.head.kind} heads: measure whole networks instead"
        )
    (_, (stem,)), *blocks, _ = layers_by_stage(spec)
    yield Piece(spec.stem, stem.cin, spec.resolution, spec.padding)
    cin, px = spec.stem.out, stem.out_px
    for block, (_, layers) in zip(spec.blocks, blocks, strict=True):
        yield Piece(block, cin, layers[0].in_px, spec.padding)
        cin, px = block.out, -(-px // block.stride)
    yield Piece(spec.head, cin, px, spec.padding)
