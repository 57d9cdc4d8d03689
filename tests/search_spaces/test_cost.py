from dataclasses import replace

import pytest
import torch
from torch import nn

from search_spaces import REFERENCES, BlockSpec, count, load_space
from search_spaces.network import build

# M MAdds of each line of the paper's table (stem, blocks, last convolution; then the classifier).
LARGE_ROWS = [
    *(5.419, 5.018, 19.468, 12.87, 9.092, 9.886, 9.886, 11.713, 6.625, 6.095, 6.095),
    *(19.025, 30.915, 21.069, 16.69, 16.69, 7.526 + 2.509),
]
SMALL_ROWS = [
    *(5.419, 1.255, 5.475, 3.933, 3.034, 4.97, 4.97, 2.665, 3.427, 4.459, 6.29, 6.29),
    2.71 + 1.614,
]


def test_cost_of_each_stage():
    stages = count(REFERENCES["mobilenet_v3_large"]()).stages
    assert [stage.madds / 1e6 for stage in stages] == pytest.approx(LARGE_ROWS, abs=0.002)
    stages = count(REFERENCES["mobilenet_v3_small"]()).stages
    assert [stage.madds / 1e6 for stage in stages] == pytest.approx(SMALL_ROWS, abs=0.002)


def hooked_madds(network: nn.Module, px: int) -> int:
    """An independent count, from the actual shapes through each layer."""
    total = 0

    def add(layer: nn.Module, inputs: tuple, output: torch.Tensor) -> None:
        nonlocal total
        fan_in = layer.weight[0].numel()
        total += output.numel() * fan_in

    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(add)
    with torch.inference_mode():
        network.eval()(torch.zeros(1, 3, px, px))
    return total


@pytest.mark.parametrize("seed", range(12))
def test_counts_agree_with_the_built_network(seed, random_tokens):
    space = load_space("mnasnet", resolution=[33, 64, 97][seed % 3], classes=7)
    spec = space.decode(random_tokens(space.arities, seed))
    network = build(spec)
    cost = count(spec)
    assert cost.params == sum(p.numel() for p in network.parameters())
    assert cost.madds == hooked_madds(network, spec.resolution)
    assert cost.madds == sum(stage.madds for stage in cost.stages)
    assert len(cost.stages) == len(spec.blocks) + 2


def test_a_stage_does_not_end_with_its_squeeze_and_excite():
    conv = BlockSpec(
        op="conv", kernel=3, stride=2, expand=0, out=24, se=8, gate="sigmoid", act="relu",
        linear=False, skip="none",
    )  # fmt: skip
    spec = replace(REFERENCES["mobilenet_v1"](resolution=32), blocks=(conv,))
    stage = count(spec).stages[1]
    assert (stage.in_px, stage.out_px, stage.cin, stage.cout) == (16, 8, 32, 24)
