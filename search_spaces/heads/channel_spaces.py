"""The channel spaces of heads for detection and segmentation; see `search_spaces.channels`."""

from __future__ import annotations

from collections.abc import Iterator

from search_spaces.heads.specs import DenseHead, LRASPPHead, RASPPHead, SSDLiteHead

Spaces = tuple[str, ...]
"""The channel space of each leading dimension of a tensor; kernel dimensions follow."""

NamedSpaces = Iterator[tuple[str, Spaces]]
"""Names of tensors, each with its spaces."""


def head_channel_counts(head: DenseHead) -> dict[str, int]:
    """Return the number of channels in each space of a head."""
    sizes = {"head conv": head.conv}
    if not isinstance(head, SSDLiteHead):
        spaces = ("filters",) if isinstance(head, LRASPPHead) else ("filters", "context", "sum")
        filters = {f"head {space}": head.filters for space in spaces}
        return sizes | filters | {"classes": head.classes}
    for index, extra in enumerate(head.extras):
        sizes |= {f"extra {index} inner": extra.inner, f"extra {index} out": extra.out}
    for index, anchors in enumerate(head.anchors_per_cell):
        sizes[f"map {index} scores"] = anchors * (head.classes + 1)
        sizes[f"map {index} boxes"] = anchors * 4
    return sizes


def head_tensors(head: DenseHead, low: tuple[str, ...], cin: str) -> NamedSpaces:
    """Yield the tensors of a head with their spaces, in the order of its state dict.

    Args:
        head: The head.
        low: Spaces of the maps that it reads inside the body.
        cin: Space of the body's output.
    """
    if head.conv:
        yield from convolution("head.conv", ("head conv", cin))
        cin = "head conv"
    match head:
        case SSDLiteHead():
            yield from _ssdlite(head, [*low, cin])
        case LRASPPHead():
            yield from convolution("head.branch", ("head filters", cin))
            yield "head.scale.weight", ("head filters", cin)
            yield from with_bias("head.low", ("classes", *low))
            yield from with_bias("head.high", ("classes", "head filters"))
        case RASPPHead():
            yield from convolution("head.branch", ("head filters", cin))
            yield from convolution("head.pooled", ("head context", cin))
            yield from convolution("head.project", ("head sum", "head filters"))
            yield "head.context.weight", ("head sum", "head context")
            yield from with_bias("head.high", ("classes", "head sum"))


def _ssdlite(head: SSDLiteHead, maps: list[str]) -> NamedSpaces:
    for index in range(len(head.extras)):
        inner, out, prefix = f"extra {index} inner", f"extra {index} out", f"head.extras.{index}"
        yield from convolution(f"{prefix}.0", (inner, maps[-1]))
        yield from convolution(f"{prefix}.1", (inner,))
        yield from convolution(f"{prefix}.2", (out, inner))
        maps.append(out)
    for kind in ("scores", "boxes"):
        for index, space in enumerate(maps):
            yield from convolution(f"head.{kind}.{index}.0", (space,))
            yield from with_bias(f"head.{kind}.{index}.1", (f"map {index} {kind}", space))


def convolution(prefix: str, spaces: Spaces) -> NamedSpaces:
    """Yield a convolution's weight and its batch norm."""
    yield f"{prefix}.0.weight", spaces
    for name in ("weight", "bias", "running_mean", "running_var"):
        yield f"{prefix}.1.{name}", spaces[:1]
    yield f"{prefix}.1.num_batches_tracked", ()


def with_bias(prefix: str, spaces: Spaces) -> NamedSpaces:
    """Yield a layer's weight and bias."""
    yield f"{prefix}.weight", spaces
    yield f"{prefix}.bias", spaces[:1]
