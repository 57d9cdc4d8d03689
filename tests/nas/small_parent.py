"""A small network with residual stages, to be a parent in tests: it trains a step in milliseconds."""

from dataclasses import replace

import torch

from nas.checkpoints.checkpoint import Checkpoint
from nas.checkpoints.usage import NORMALIZATIONS, Usage
from search_spaces import ArchSpec, BlockSpec, HeadSpec, StemSpec
from search_spaces.network import build


def _block(out, *, stride, expand, skip="none"):
    return BlockSpec(
        op="mbconv", kernel=5, stride=stride, expand=expand, out=out, se=0, gate="none",
        act="relu6", linear=True, skip=skip,
    )  # fmt: skip


def small_spec(classes):
    blocks = (
        _block(24, stride=2, expand=48),
        _block(24, stride=1, expand=96, skip="identity"),
        _block(40, stride=2, expand=96),
        _block(40, stride=1, expand=160, skip="identity"),
        _block(40, stride=1, expand=160, skip="identity"),
    )
    return ArchSpec(
        resolution=64,
        bn_eps=1e-5,
        stem=StemSpec(out=16, kernel=3, stride=2, act="relu6"),
        blocks=blocks,
        head=HeadSpec(conv=64, hidden=0, act="relu6", dropout=0.1, classes=classes),
    )


def small_parent(classes=("cat", "dog", "owl")):
    """The network with random weights."""
    spec = small_spec(len(classes))
    weights = build(spec, generator=torch.Generator().manual_seed(1)).state_dict()
    mean, std = NORMALIZATIONS["imagenet"]
    return Checkpoint(spec, weights, Usage(classes, 64, mean, std))


def deep_parent(classes=("cat", "dog", "owl")):
    """A small network that strides to 32, as heads for boxes need it, with random weights."""
    blocks = (
        _block(16, stride=2, expand=32),
        _block(24, stride=2, expand=64),
        _block(24, stride=1, expand=64, skip="identity"),
        _block(32, stride=2, expand=96),
        _block(48, stride=2, expand=96),
        _block(48, stride=1, expand=96, skip="identity"),
    )
    head = HeadSpec(conv=64, hidden=0, act="relu6", dropout=0.1, classes=len(classes))
    spec = replace(small_spec(len(classes)), blocks=blocks, head=head)
    weights = build(spec, generator=torch.Generator().manual_seed(1)).state_dict()
    mean, std = NORMALIZATIONS["imagenet"]
    return Checkpoint(spec, weights, Usage(classes, 64, mean, std))
