"""Widths of a network's layers before and after NetAdapt, for terminal and report."""

from __future__ import annotations

from dataclasses import dataclass

from netadapt.narrowing.depth import kept_blocks
from search_spaces import ArchSpec, HeadSpec

Pair = tuple[int, int]
"""Channels before and after; 0 after if the block was dropped."""


@dataclass(frozen=True)
class WidthRow:
    """Widths of one layer.

    Attributes:
        name: `stem`, `block 3`, `head` or `hidden`.
        expansion: Of a block's expansion; None if it has none.
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
    heads = before.head, after.head
    if isinstance(heads[0], HeadSpec) and isinstance(heads[1], HeadSpec) and heads[0].hidden:
        rows.append(WidthRow("hidden", None, (heads[0].hidden, heads[1].hidden)))
    return rows
