"""Widths of a network's layers before and after NetAdapt, for terminal and report."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from netadapt.narrowing.depth import kept_blocks
from search_spaces import ArchSpec, HeadSpec
from search_spaces.heads.specs import DenseHead, LRASPPHead, RASPPHead, SSDLiteHead

Pair = tuple[int, int]
"""Channels before and after; 0 after if the block was dropped."""


@dataclass(frozen=True)
class WidthRow:
    """Widths of one layer.

    Attributes:
        name: `stem`, `block 3`, `head`, `hidden`, `filters` or `extra 0`.
        expansion: Of a block's expansion, or the inner width of a detector's extra layer; None if it has
            none.
        output: Of its output.
    """

    name: str
    expansion: Pair | None
    output: Pair


def width_rows(before: ArchSpec, after: ArchSpec) -> list[WidthRow]:
    """Compare all layers of a network with what NetAdapt made of them.

    >>> from search_spaces.references import mobilenet_v3_small
    >>> rows = width_rows(mobilenet_v3_small(), mobilenet_v3_small())
    >>> rows[2]
    WidthRow(name='block 1', expansion=(72, 72), output=(24, 24))
    >>> rows[-1]
    WidthRow(name='hidden', expansion=None, output=(1024, 1024))
    """
    rows = [WidthRow("stem", None, (before.stem.out, after.stem.out))]
    remaining = dict(zip(kept_blocks(before, after), after.blocks, strict=True))
    for index, old in enumerate(before.blocks):
        new = remaining.get(index)
        expansion = (old.expand, new.expand if new else 0) if old.expand else None
        rows.append(WidthRow(f"block {index}", expansion, (old.out, new.out if new else 0)))
    if before.head.conv:
        rows.append(WidthRow("head", None, (before.head.conv, after.head.conv)))
    return [*rows, *_head_rows(before.head, after.head)]


def _head_rows(before: HeadSpec | DenseHead, after: HeadSpec | DenseHead) -> Iterator[WidthRow]:
    """Yield the widths of a head behind its convolution."""
    match before, after:
        case HeadSpec(), HeadSpec() if before.hidden:
            yield WidthRow("hidden", None, (before.hidden, after.hidden))
        case SSDLiteHead(), SSDLiteHead():
            for index, (old, new) in enumerate(zip(before.extras, after.extras, strict=True)):
                yield WidthRow(f"extra {index}", (old.inner, new.inner), (old.out, new.out))
        case LRASPPHead() | RASPPHead(), LRASPPHead() | RASPPHead():
            yield WidthRow("filters", None, (before.filters, after.filters))
