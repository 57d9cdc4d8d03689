from dataclasses import replace

import pytest
import torch
import torchvision
from torch import nn

from search_spaces import REFERENCES, ArchSpec, BlockSpec, HeadSpec, StemSpec, load_space
from search_spaces.layers import Block
from search_spaces.network import build
from search_spaces.references import ORIGINS

TORCHVISION = {
    "mobilenet_v2": torchvision.models.mobilenet_v2,
    "mobilenet_v3_large": torchvision.models.mobilenet_v3_large,
    "mobilenet_v3_small": torchvision.models.mobilenet_v3_small,
    "mnasnet_b1": torchvision.models.mnasnet1_0,
}
MBCONV = BlockSpec(
    op="mbconv", kernel=3, stride=1, expand=16, out=8, se=0, gate="none", act="relu",
    linear=True, skip="identity",
)  # fmt: skip


@pytest.mark.parametrize("name", TORCHVISION)
def test_training_starts_as_in_torchvision(name):
    theirs = list(TORCHVISION[name]().modules())
    ours = list(build(REFERENCES[name](), origin=ORIGINS[name]).modules())

    def traits(modules, kind, *names):
        return [tuple(getattr(m, n) for n in names) for m in modules if isinstance(m, kind)]

    norms = (nn.BatchNorm2d, "eps", "momentum", "num_features")
    assert traits(ours, *norms) == traits(theirs, *norms)
    assert traits(ours, nn.Dropout, "p") == traits(theirs, nn.Dropout, "p")
    pairs = zip(
        [m.weight for m in ours if isinstance(m, nn.Conv2d | nn.Linear)],
        [m.weight for m in theirs if isinstance(m, nn.Conv2d | nn.Linear)],
        strict=True,
    )
    for our, their in pairs:
        assert our.std().item() == pytest.approx(their.std().item(), rel=6 / our.numel() ** 0.5)
        # A uniform distribution ends at 1.7 standard deviations, a normal one goes far beyond.
        assert (our.abs().max() > 2 * our.std()) == (their.abs().max() > 2 * their.std())


def test_slim_draws_truncated_normals():
    network = build(REFERENCES["mobilenet_v1"](), origin=ORIGINS["mobilenet_v1"])
    weight = network.blocks[-1].layers[1][0].weight
    assert weight.abs().max().item() <= 0.18
    assert weight.std().item() == pytest.approx(0.09 * 0.88, rel=0.02)  # what cutting at 2 leaves


def test_weights_come_from_the_generator_alone():
    spec = REFERENCES["mobilenet_v3_small"](classes=10)
    before = torch.random.get_rng_state()
    first = build(spec, generator=torch.Generator().manual_seed(3)).state_dict()
    again = build(spec, generator=torch.Generator().manual_seed(3)).state_dict()
    other = build(spec, generator=torch.Generator().manual_seed(4)).state_dict()
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first["stem.0.weight"], other["stem.0.weight"])


def test_any_network_of_the_space_runs_and_learns(random_tokens):
    for seed in range(8):
        space = load_space("mnasnet", resolution=32, classes=5)
        network = build(space.decode(random_tokens(space.arities, seed)))
        logits = network(torch.rand(3, 3, 40, 40))  # another size than its own works too
        assert logits.shape == (3, 5)
        logits.sum().backward()
        assert all(p.grad is not None for p in network.parameters())


def test_squeeze_and_excite_by_hand():
    block = replace(MBCONV, se=4, gate="hsigmoid", skip="none")
    module = Block(block, 8, 1e-3).eval()
    excite = module.layers[2]
    x = torch.rand(2, 16, 5, 5)
    means = x.mean(dim=(2, 3))
    w1, b1 = excite.squeeze.weight[:, :, 0, 0], excite.squeeze.bias
    w2, b2 = excite.excite.weight[:, :, 0, 0], excite.excite.bias
    reduced = (means @ w1.T + b1).clamp(min=0)
    gate = ((reduced @ w2.T + b2) + 3).clamp(0, 6) / 6
    assert torch.allclose(excite(x), x * gate[:, :, None, None], atol=1e-6)


@pytest.mark.parametrize(
    ("skip", "stride"), [("identity", 1), ("pool", 1), ("pool", 2), ("none", 2)]
)
def test_skips_add_what_they_say(skip, stride):
    module = Block(replace(MBCONV, skip=skip, stride=stride), 8, 1e-3).eval()
    x = torch.rand(1, 8, 7, 7)
    added = module(x) - module.layers(x)
    if skip == "none":
        expected = torch.zeros_like(added)
    elif skip == "identity":
        expected = x
    else:  # by hand: the mean over the part of each 3x3 window that lies on the map
        expected = torch.stack(
            [
                torch.stack(
                    [x[..., max(0, r - 1) : r + 2, max(0, c - 1) : c + 2].mean(dim=(2, 3))
                     for c in range(0, 7, stride)],
                    dim=-1,
                )
                for r in range(0, 7, stride)
            ],
            dim=-2,
        )  # fmt: skip
    assert torch.allclose(added, expected, atol=1e-5)


def test_only_linear_residual_branches_may_start_at_zero():
    def marked(block: BlockSpec) -> int:
        return sum(hasattr(m, "residual_last") for m in Block(block, 8, 1e-3).modules())

    assert marked(MBCONV) == 1
    assert marked(replace(MBCONV, skip="none")) == 0
    assert marked(replace(MBCONV, linear=False)) == 0


@pytest.mark.parametrize(("conv", "hidden"), [(0, 0), (24, 0), (24, 16), (0, 16)])
def test_head_styles(conv, hidden):
    spec = ArchSpec(
        resolution=16,
        bn_eps=1e-3,
        stem=StemSpec(out=8, kernel=3, stride=2, act="hswish"),
        blocks=(),
        head=HeadSpec(conv=conv, hidden=hidden, act="swish", dropout=0.0, classes=3),
    )
    network = build(spec).eval()
    linears = [m for m in network.modules() if isinstance(m, nn.Linear)]
    assert len(linears) == (2 if hidden else 1)
    assert linears[0].in_features == (conv or 8)
    assert network(torch.rand(1, 3, 16, 16)).shape == (1, 3)
