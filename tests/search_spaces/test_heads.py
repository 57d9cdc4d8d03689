"""Detection and segmentation networks beside torchvision's: outputs, gradients, names, counts."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torchvision.models.detection import ssdlite320_mobilenet_v3_large
from torchvision.models.segmentation import lraspp_mobilenet_v3_large

from search_spaces import REFERENCES, ArchSpec, InputError, count
from search_spaces.channels import channel_counts, class_tensors, tensor_spaces
from search_spaces.heads.named import with_head
from search_spaces.heads.specs import LRASPPHead
from search_spaces.heads.transforms import dilate, halve_tail, lraspp, raspp, ssdlite
from search_spaces.layers import DilatedConv2d
from search_spaces.network import Network, build
from search_spaces.spec import from_dict, to_dict
from search_spaces.torchvision_keys import to_torchvision

HEADS = (
    "ssdlite",
    "ssdlite-half",
    "lraspp",
    "lraspp-rf2",
    "lraspp-f64-os32",
    "raspp",
    "raspp-rf2-os8",
)
BODIES = ("mobilenet_v1", "mobilenet_v2", "mobilenet_v3_large", "mobilenet_v3_small", "mnasnet_a1")


def torchvision_ssdlite() -> tuple[nn.Module, ArchSpec]:
    """Torchvision's detector, which is the halved one, with random weights; and ours as data."""
    model = ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None)
    spec = halve_tail(REFERENCES["mobilenet_v3_large"](resolution=320))
    return model, ssdlite(spec, classes=90)


def torchvision_lraspp() -> tuple[nn.Module, ArchSpec]:
    """Torchvision's segmentation network with random weights; and ours as data."""
    model = lraspp_mobilenet_v3_large(weights=None, weights_backbone=None)
    spec = REFERENCES["mobilenet_v3_large"](resolution=520)
    return model, lraspp(dilate(spec, 16), classes=21)


def ours_like(model: nn.Module, spec: ArchSpec) -> Network:
    """Randomize torchvision's network and build ours with its weights, tensor for tensor."""
    generator = torch.Generator().manual_seed(1)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.weight.data.uniform_(0.8, 1.2, generator=generator)
            module.bias.data.normal_(0, 0.1, generator=generator)
            module.running_mean.normal_(0, 0.1, generator=generator)
            module.running_var.uniform_(0.5, 1.5, generator=generator)
        elif isinstance(module, nn.Conv2d):
            std = (2 / module.weight[0].numel()) ** 0.5
            module.weight.data.normal_(0, std, generator=generator)
    network, theirs = build(spec), model.state_dict()
    names = to_torchvision({name: name for name in network.state_dict()}, spec)
    assert list(names) == list(theirs)
    network.load_state_dict({ours: theirs[name] for name, ours in names.items()})
    return network


def gradients(network: nn.Module, loss: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(loss, list(network.parameters())))


def test_ssdlite_computes_what_torchvision_does():
    model, spec = torchvision_ssdlite()
    network = ours_like(model, spec)
    assert len(network.state_dict()) == 476
    images = torch.randn(2, 3, 320, 320, generator=torch.Generator().manual_seed(2))
    for mode in (False, True):
        model.train(mode), network.train(mode)
        theirs = model.head(list(model.backbone(images).values()))
        scores, boxes = network(images)
        torch.testing.assert_close(scores, theirs["cls_logits"], atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(boxes, theirs["bbox_regression"], atol=1e-4, rtol=1e-4)
    total = theirs["cls_logits"].square().mean() + theirs["bbox_regression"].square().mean()
    expected = gradients(model, total)
    got = gradients(network, scores.square().mean() + boxes.square().mean())
    for ours, gradient in zip(got, expected, strict=True):
        torch.testing.assert_close(ours, gradient, atol=1e-4, rtol=1e-3)


def test_lraspp_computes_what_torchvision_does():
    model, spec = torchvision_lraspp()
    network = ours_like(model, spec)
    assert len(network.state_dict()) == 319
    images = torch.randn(2, 3, 160, 200, generator=torch.Generator().manual_seed(2))
    for mode in (False, True):
        model.train(mode), network.train(mode)
        theirs = model.classifier(model.backbone(images))
        logits = network(images)
        assert logits.shape == (2, 21, 20, 25)
        torch.testing.assert_close(logits, theirs, atol=1e-4, rtol=1e-4)
    expected = gradients(model, theirs.square().mean())
    for ours, gradient in zip(gradients(network, logits.square().mean()), expected, strict=True):
        torch.testing.assert_close(ours, gradient, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize(
    ("made", "params", "gmacs"),
    [(torchvision_ssdlite, 3_440_060, 0.583), (torchvision_lraspp, 3_221_538, 2.086)],
)
def test_counts_are_torchvision_s(made, params, gmacs):
    model, spec = made()
    cost = count(spec)
    assert cost.params == params == sum(p.numel() for p in model.parameters())
    assert cost.madds / 1e9 == pytest.approx(gmacs, abs=5e-4)


def test_lraspp_at_another_size_has_the_known_cost():
    spec = lraspp(dilate(REFERENCES["mobilenet_v3_large"](resolution=512), 16), classes=21)
    assert count(spec, width_px=1024).madds / 1e9 == pytest.approx(3.948, abs=5e-4)


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("head", HEADS)
def test_a_spec_says_what_its_network_is(body, head):
    spec = with_head(REFERENCES[body](resolution=128), head, classes=5)
    assert from_dict(to_dict(spec)) == spec
    network = build(spec).eval()
    tensors, sizes = tensor_spaces(spec), channel_counts(spec)
    assert list(tensors) == list(network.state_dict())
    for name, tensor in network.state_dict().items():
        leading = tuple(tensor.shape[: len(tensors[name])])
        assert leading == tuple(sizes[space] for space in tensors[name]), name
    cost = count(spec)
    assert cost.params == sum(p.numel() for p in network.parameters())
    assert cost.madds == counted_by_running(network, spec.resolution)
    more = build(with_head(REFERENCES[body](resolution=128), head, classes=6)).state_dict()
    unlike = [name for name, t in network.state_dict().items() if t.shape != more[name].shape]
    assert list(class_tensors(spec)) == unlike


def counted_by_running(network: Network, px: int) -> int:
    """Count the MAdds of all convolutions and linear layers from the shapes of a forward pass."""
    total = 0

    def add(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        weight = module.weight
        positions = output[0, 0].numel() if output.dim() == 4 else 1
        total += positions * weight.numel()

    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(add)
    network(torch.zeros(1, 3, px, px))
    return total


def test_shared_channels_are_one_space():
    spec = with_head(REFERENCES["mobilenet_v2"](resolution=96), "ssdlite", classes=3)
    spaces = tensor_spaces(spec)
    assert spaces["head.scores.0.0.0.weight"] == ("block 13 expansion",)  # C4
    assert spaces["head.scores.1.0.0.weight"] == ("head conv",)  # C5
    lite = lraspp(dilate(REFERENCES["mobilenet_v3_large"](), 16), classes=3)
    assert tensor_spaces(lite)["head.low.weight"] == ("classes", "block 3 out")
    deep = replace(lite, head=replace(lite.head, skip="depthwise"))
    assert tensor_spaces(deep)["head.low.weight"] == ("classes", "block 5 expansion")


def test_depthwise_skip_is_read_before_squeeze_and_excite():
    spec = lraspp(REFERENCES["mobilenet_v3_large"](resolution=64), classes=2, skip="depthwise")
    network = build(spec).eval()
    seen = {}
    network.blocks[5].layers[1].register_forward_hook(lambda *args: seen.update(depthwise=args[2]))
    network.head.low.register_forward_pre_hook(lambda _, inputs: seen.update(low=inputs[0]))
    network(torch.randn(1, 3, 64, 64))
    assert torch.equal(seen["low"], seen["depthwise"])
    assert seen["low"].shape == (1, 120, 8, 8)


def test_the_papers_pooled_gate_is_clamped_to_the_map():
    spec = REFERENCES["mobilenet_v3_small"](resolution=128)
    paper = lraspp(dilate(spec, 16), classes=2, pool=49, pool_stride=(16, 20))
    network, head = build(paper).eval(), build(lraspp(dilate(spec, 16), classes=2)).eval()
    head.load_state_dict(network.state_dict())
    small = torch.randn(1, 3, 128, 128)  # 8x8 maps: 49 covers them all
    torch.testing.assert_close(network(small), head(small))
    wide = torch.randn(1, 3, 128, 1616)  # 8x101 maps: three positions across
    high = network.head.conv(network.blocks(network.stem(wide)))
    assert high.shape[-2:] == (8, 101)
    windows = torch.stack([high[..., at : at + 49].mean((2, 3)) for at in (0, 20, 40)], dim=-1)
    gate = torch.sigmoid(
        torch.einsum("fc,ncp->nfp", network.head.scale.weight[:, :, 0, 0], windows)
    )
    expected = nn.functional.interpolate(gate[:, :, None], size=(8, 101), mode="bilinear")
    torch.testing.assert_close(network.head._gate(high), expected, atol=1e-6, rtol=1e-4)


def test_raspp_is_one_convolution_of_both_branches():
    spec = raspp(dilate(REFERENCES["mobilenet_v2"](resolution=64), 16), classes=2, filters=8)
    head = build(spec).eval().head
    last = torch.randn(2, 320, 4, 4)
    pooled = head.pooled(last.mean((2, 3), keepdim=True)).expand(-1, -1, 4, 4)
    both = torch.cat([head.branch(last), pooled], dim=1)
    weight = torch.cat([head.project[0].weight, head.context.weight], dim=1)
    joined = head.project[2](head.project[1](nn.functional.conv2d(both, weight)))
    torch.testing.assert_close(head(last), head.high(joined), atol=1e-6, rtol=1e-5)


def test_dilation_keeps_the_size_and_the_field_of_view():
    spec = REFERENCES["mobilenet_v3_small"](resolution=64)
    for convention, dilations in (("torchvision", [2, 2, 2]), ("tensorflow", [1, 2, 2])):
        dilated = dilate(spec, 16, convention=convention)
        assert [block.dilation for block in dilated.blocks[-3:]] == dilations
        assert count(dilated).params == count(spec).params
        network = build(dilated)
        assert network.blocks(network.stem(torch.zeros(2, 3, 64, 64))).shape[-1] == 4
    assert [block.dilation for block in dilate(spec, 8).blocks[-5:]] == [2, 2, 4, 4, 4]


@pytest.mark.parametrize(
    ("size", "kernel", "dilation", "groups"),
    [((8, 8), 5, 2, 6), ((7, 9), 3, 2, 6), ((5, 3), 3, 4, 1), ((1, 1), 3, 2, 6)],
)
def test_training_a_dilated_convolution_gives_torchs_outputs_and_gradients(
    size, kernel, dilation, groups
):
    conv = DilatedConv2d(
        6, 6, kernel, padding=dilation * (kernel // 2), dilation=dilation, groups=groups, bias=False
    ).double()
    maps = torch.randn(2, 6, *size, dtype=torch.float64, requires_grad=True)
    slope = torch.randn(2, 6, *size, dtype=torch.float64)
    found = []
    for layer in (conv.train(), partial(nn.Conv2d.forward, conv)):
        out = layer(maps)
        found.append((out, *torch.autograd.grad((out * slope).sum(), [maps, conv.weight])))
    for own, wanted in zip(*found, strict=True):
        torch.testing.assert_close(own, wanted)


def test_sigmoid_scores_begin_rare():
    spec = ssdlite(REFERENCES["mobilenet_v2"](resolution=64), classes=3, scores="sigmoid")
    network = build(spec).eval()
    scores, _ = network(torch.zeros(1, 3, 64, 64))
    assert scores.sigmoid().mean().item() == pytest.approx(0.01, rel=0.05)


def test_reduced_first_has_three_anchors_in_the_first_map():
    spec = ssdlite(REFERENCES["mobilenet_v2"](resolution=320), classes=3, reduced_first=True)
    scores, boxes = build(spec).eval()(torch.zeros(1, 3, 320, 320))
    cells = [20, 10, 5, 3, 2, 1]
    anchors = 3 * cells[0] ** 2 + 6 * sum(cell**2 for cell in cells[1:])
    assert scores.shape == (1, anchors, 4)
    assert boxes.shape == (1, anchors, 4)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("sdlite", "did you mean ssdlite"),
        ("ssdlite-rf2", "no option 'rf2': ssdlite takes half"),
        ("lraspp-os4", "no option 'os4': lraspp takes rf2"),
        ("lraspp-half", "no option 'half'"),
    ],
)
def test_unknown_names_are_told(name, words):
    with pytest.raises(InputError, match=words):
        with_head(REFERENCES["mobilenet_v2"](), name)


def test_bodies_without_the_maps_are_told():
    spec = dilate(REFERENCES["mobilenet_v2"](), 16)
    with pytest.raises(InputError, match="ssdlite reads the map before the stride becomes 32"):
        ssdlite(spec, classes=2)
    with pytest.raises(InputError, match="halve before dilating"):
        halve_tail(spec)
    no_eight = replace(spec, blocks=spec.blocks[:1])
    with pytest.raises(InputError, match="lraspp reads a map of stride 8"):
        lraspp(no_eight, classes=2)


def test_a_file_may_name_the_kind_and_mistakes_are_told():
    data = to_dict(with_head(REFERENCES["mobilenet_v2"](), "ssdlite", classes=2))
    head = data["head"]
    plain = to_dict(REFERENCES["mobilenet_v2"]())
    assert from_dict(plain | {"head": {"kind": "classifier"} | plain["head"]}) == from_dict(plain)
    for change, words in (
        ({"kind": "ssd"}, "kind must be ssdlite, lraspp or raspp"),
        ({"scales": (0.2, 0.5)}, "scales: 7 are needed"),
        ({"scales": (0.9, 0.35, 0.5, 0.65, 0.8, 0.95, 1.0)}, "must ascend"),
        ({"ratios": ((2.0,),)}, "6 lists are needed"),
        ({"extra": 3}, "unknown key 'head.extra'"),
        ({"classes": 0}, "head.classes"),
    ):
        with pytest.raises(InputError, match=words):
            from_dict(data | {"head": head | change})


def test_lraspp_head_defaults_are_torchvision_s():
    head = LRASPPHead(conv=960, act="hswish", classes=21)
    assert (head.filters, head.pool, head.gate, head.skip, head.bn_eps) == (
        128, 0, "sigmoid", "entry", 1e-5,
    )  # fmt: skip
