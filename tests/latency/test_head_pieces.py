"""The pieces of detectors and segmentation networks: what they count, and that a device can run them."""

from dataclasses import replace

import pytest
import torch

from latency.estimates.lazy_table import LazyTable
from latency.estimates.pieces import Piece, pieces
from search_spaces import REFERENCES, count
from search_spaces.heads.named import with_head
from search_spaces.heads.specs import ExtraSpec, LRASPPHead, SSDLiteHead
from search_spaces.network import build
from search_spaces.spec import BlockSpec, StemSpec
from tests.latency.test_table import Lab, measured

HEADS = ("ssdlite", "ssdlite-half", "lraspp", "lraspp-os8", "lraspp-os32-rf2", "raspp", "raspp-f64")


def madds(piece: Piece) -> int:
    """Return the multiply-adds of the piece within its probe."""
    probe = piece.probe()
    names = {StemSpec: "stem", BlockSpec: f"block {len(probe.blocks) - 1}"}
    (stage,) = [s for s in count(probe).stages if s.name == names.get(type(piece.part), "head")]
    return stage.madds


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("body", REFERENCES)
def test_pieces_count_what_their_network_does(body, head):
    spec = with_head(REFERENCES[body](resolution=100), head, classes=3)
    assert sum(map(madds, pieces(spec))) == count(spec).madds


def test_a_pooled_gate_and_a_depthwise_skip_count_too():
    spec = with_head(REFERENCES["mobilenet_v3_large"](resolution=512), "lraspp", classes=19)
    spec = replace(
        spec,
        head=replace(spec.head, pool=13, pool_stride=(4, 5), gate="hsigmoid", skip="depthwise"),
    )
    assert sum(map(madds, pieces(spec))) == count(spec).madds
    (joined,) = [piece for piece in pieces(spec) if isinstance(piece.part, LRASPPHead)]
    assert joined.key == "lraspp 960->128->19 hsigmoid pool13 s4x5 120@64 @32"


def narrower(spec):
    """Halve what the head has: its convolution, and its filters or extra layers."""
    head = replace(spec.head, conv=spec.head.conv // 2)
    if isinstance(head, SSDLiteHead):
        extras = [ExtraSpec(inner=e.inner // 2, out=e.out // 2) for e in head.extras]
        return replace(spec, head=replace(head, extras=tuple(extras)))
    return replace(spec, head=replace(head, filters=head.filters // 2))


@pytest.mark.parametrize("head", HEADS)
def test_a_narrower_head_saves_as_much_by_pieces_as_measured(tmp_path, head):
    spec = with_head(REFERENCES["mobilenet_v3_small"](resolution=224), head, classes=3)
    lab = measured(Lab())
    source = LazyTable(lab, tmp_path)
    told, whole = (
        device.latency(spec).median_ms - device.latency(narrower(spec)).median_ms
        for device in (source, lab)
    )
    assert told == pytest.approx(whole, rel=0.1)


@pytest.mark.parametrize("head", HEADS)
def test_every_probe_runs(head):
    spec = with_head(REFERENCES["mobilenet_v3_small"](resolution=64), head, classes=3)
    for piece in {piece.key: piece for piece in pieces(spec)}.values():
        for probe in (piece.probe(), piece.without()):
            found = build(probe).eval()(torch.zeros(1, 3, probe.resolution, probe.resolution))
            outputs = found if isinstance(found, tuple) else (found,)
            assert all(output.isfinite().all() for output in outputs)


def test_pieces_of_unlike_heads_have_unlike_keys():
    body = REFERENCES["mobilenet_v3_small"](resolution=64)
    keys = [list(pieces(with_head(body, head, classes=3)))[-1].key for head in HEADS]
    assert keys[2:] == [
        "lraspp 576->128->3 sigmoid 24@8 @4",
        "lraspp 576->128->3 sigmoid 24@8 @8",
        "lraspp 288->128->3 sigmoid 24@8 @2",
        "raspp 576->256->3 @4",
        "raspp 576->64->3 @4",
    ]
